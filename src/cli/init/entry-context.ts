import type { JsonObject } from '../../core/mcp.ts';
import type { ClientFile, ClientServer } from './client-file.ts';
import type { Variables } from './variables.ts';

/** An upstream as it will be written: members in their order, texts with references. */
export interface DraftUpstream {
  readonly name: string;
  readonly fields: JsonObject;
}

export interface EntryContext {
  readonly file: ClientFile;
  readonly server: ClientServer;
  /** The name that the upstream will have. */
  readonly name: string;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly variables: Variables;
  /** What is lost, or was carried over in another form; names a member where it is about one. */
  readonly note: (text: string) => void;
}
