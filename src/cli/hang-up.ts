import { closeSync, openSync } from 'node:fs';
import type { ProcessEvents } from './surroundings.ts';

export interface HangUpOptions {
  readonly events: ProcessEvents;
  /** Called for each SIGHUP that asks for the configuration to be read again. */
  readonly onReload: () => void;
  /** Whether there is a controlling terminal. Default: asked. */
  readonly hasTerminal?: () => boolean;
}

/**
 * SIGHUP, which has two meanings: somebody wants the configuration to be read again, or the terminal that the gateway was started
 * from is gone. It is gone only where there was one and is none any more; then the gateway ends, as it does for SIGTERM.
 */
export class HangUp implements Disposable {
  /** Resolves when the terminal is gone. */
  readonly gone: Promise<void>;
  readonly #events: ProcessEvents;
  readonly #listener: () => void;

  constructor({ events, onReload, hasTerminal = canOpenTerminal }: HangUpOptions) {
    this.#events = events;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.gone = promise;
    const hadTerminal = hasTerminal();
    this.#listener = () => {
      if (hadTerminal && !hasTerminal()) resolve();
      else onReload();
    };
    events.on('SIGHUP', this.#listener);
  }

  [Symbol.dispose](): void {
    this.#events.off('SIGHUP', this.#listener);
  }
}

function canOpenTerminal(): boolean {
  try {
    closeSync(openSync('/dev/tty', 'r'));
    return true;
  } catch {
    return false;
  }
}
