import type { Readable, Writable } from 'node:stream';

/** What a command has to do with the world outside; tests bring their own. */
export interface Surroundings {
  /** Absolute. */
  readonly cwd: string;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Takes a variable out of the environment of the process itself. */
  readonly unset?: (name: string) => void;
  readonly stdin: Readable;
  readonly stdout: Output;
  readonly stderr: Output;
  readonly events: ProcessEvents;
  /** Ends the process at once, without cleaning up. */
  readonly exit: (code: number) => void;
}

/** A stream that may be a terminal. */
export type Output = Writable & { readonly isTTY?: boolean; readonly columns?: number; readonly rows?: number };

/** The part of `process` that says that the end has come. */
export interface ProcessEvents {
  on(event: string, listener: (...args: unknown[]) => void): unknown;
  off(event: string, listener: (...args: unknown[]) => void): unknown;
}
