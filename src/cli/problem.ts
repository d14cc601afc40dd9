import { isIP } from 'node:net';
import { TurnpikeError } from '../core/errors.ts';
import { redactText } from '../telemetry/redact.ts';

/** Where the gateway was to listen. */
export interface Address {
  readonly host: string;
  readonly port: number;
}

/** Longest text of an error that is shown. Lists of problems are many lines. */
const MAX_TEXT = 20_000;

/** Why the gateway did not start, for a person: what is wrong and what to do about it. Never a stack trace. */
export function startProblem(error: unknown, { host, port }: Address): string {
  const where = `${isIP(host) === 6 ? `[${host}]` : host}:${port}`;
  switch (listenCode(error)) {
    case 'EADDRINUSE':
      return `${where} is in use by another process. Stop that one, or choose another port with listen.port or --listen-port.`;
    case 'EADDRNOTAVAIL':
      return `${host} is no address of this machine. Set listen.host or --listen-host to one that is, such as 127.0.0.1.`;
    case 'ENOTFOUND':
    case 'EAI_AGAIN':
      return `${host} has no address. Set listen.host or --listen-host to one of this machine, such as 127.0.0.1.`;
    case 'EACCES':
      return `Not allowed to listen on ${where}. Ports below 1024 need a privilege; choose another with listen.port or --listen-port.`;
    default:
      return problemText(error);
  }
}

/** What is wrong, with what only operators may know. */
export function problemText(error: unknown): string {
  if (!(error instanceof TurnpikeError)) return oneLine(error instanceof Error ? error.message : String(error));
  // Each line of a configuration error is a problem of its own, and made without values.
  if (error.code === 'config/invalid') return error.message.slice(0, MAX_TEXT);
  const { reason } = error.details;
  // A reason may be a stack trace: its first line says what happened.
  const first = reason?.split('\n', 1)[0] ?? '';
  return first === '' || first === error.message ? oneLine(error.message) : `${oneLine(error.message)} (${oneLine(first)})`;
}

/** The code of the system call that failed while listening, wherever in the chain of causes it stands. */
function listenCode(error: unknown): string | undefined {
  let current = error;
  for (let depth = 0; depth < 5 && current instanceof Error; depth++) {
    const { code, syscall } = current as NodeJS.ErrnoException;
    if (syscall === 'listen' || syscall === 'bind' || syscall === 'getaddrinfo') return code;
    current = current.cause;
  }
  return undefined;
}

function oneLine(text: string): string {
  return redactText(text, 1000);
}
