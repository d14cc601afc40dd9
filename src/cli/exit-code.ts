/** How a command ended. Pinned: scripts depend on these. */
export const EXIT = {
  /** It did what was asked. */
  done: 0,
  /** It failed, or refused to start. */
  failed: 1,
  /** Unknown command, unknown flag, missing or malformed argument. */
  usage: 2,
  /** The gateway asked for a credential, did not accept it, or a policy refused the call. */
  denied: 3,
} as const;

export type ExitCode = (typeof EXIT)[keyof typeof EXIT];

/** For `--help`. */
export const EXIT_HELP = `Exit codes:
  0  done
  1  failed, or refused to start
  2  wrong usage
  3  not authenticated, or not allowed`;
