import { NAME_PATTERN } from '../../config/sections/policy.ts';
import { RESERVED_NAMES } from '../../config/sections/upstream-rules.ts';
import { isJsonObject, type JsonObject } from '../../core/mcp.ts';
import { err, ok, type Result } from '../../core/result.ts';
import { shortPath } from './client-places.ts';
import type { DraftUpstream, EntryContext } from './entry-context.ts';
import { hasPlaceholder, literal, translate } from './placeholders.ts';
import { remoteFields } from './remote-entry.ts';
import { hasSecretLook, looksSecret } from './secret-look.ts';

/** Members that are for the client itself, and why nothing of them is carried over. */
const CLIENTS_OWN: Readonly<Record<string, string>> = {
  autoApprove: 'approving calls is the matter of the client',
  alwaysAllow: 'approving calls is the matter of the client',
  trust: 'approving calls is the matter of the client',
  envFile: 'no file of variables is read; put them into env, or into the environment of the gateway',
  timeout: 'clients count it in different units; set timeouts.call where a minute is too short',
  oauth: 'signing in to a server is not available in this version',
  authProviderType: 'signing in to a server is not available in this version',
  headersHelper: 'no program is run for headers; set auth.header',
  dev: 'watching and debugging a server is the matter of the editor',
  sandbox: 'no sandbox is set up; run the server in one by its command',
};
const UNDERSTOOD = new Set(['type', 'transport', 'command', 'args', 'env', 'cwd', 'url', 'serverUrl', 'httpUrl', 'headers', 'description', 'name']);
const SWITCHES = new Set(['disabled', 'enabled', 'gallery', 'version', 'source']);
/** `postgres://user:password@host/…`. */
const URL_WITH_PASSWORD = /^[a-z][a-z0-9+.-]*:\/\/[^/\s:@]*:[^/\s@]+@/i;
const ALLOWING = ['includeTools', 'enabledTools', 'tools'];
const DENYING = ['excludeTools', 'disabledTools'];

/** One server of a client as an upstream of ours; the error says why it cannot be one. */
export function upstreamOf(context: EntryContext): Result<DraftUpstream, string> {
  const { server, name, note } = context;
  if (!isJsonObject(server.entry)) return err('is no object');
  const entry = flattened(server.entry);
  if (entry.disabled === true || entry.enabled === false) return err('is switched off there');
  const made = typeof entry.command === 'string' ? stdioFields(entry, context) : remoteFields(entry, context);
  if (!made.ok) return made;
  const description = typeof entry.description === 'string' ? entry.description.slice(0, 500) : undefined;
  const tools = toolsOf(entry, note);
  for (const key of Object.keys(entry)) {
    if (UNDERSTOOD.has(key) || SWITCHES.has(key) || ALLOWING.includes(key) || DENYING.includes(key)) continue;
    note(`${key}: ${Object.hasOwn(CLIENTS_OWN, key) ? CLIENTS_OWN[key] : 'nothing here is like it'}`);
  }
  return ok({
    name,
    fields: {
      name,
      ...(description === undefined ? {} : { description: literal(description) }),
      ...made.value,
      ...(tools === undefined ? {} : { tools }),
    },
  });
}

/** The name of a server as one of ours that is not in `taken` (aggregator.md 1). */
export function upstreamName(wanted: string, taken: ReadonlySet<string>): string {
  const plain = wanted.replaceAll(/[^A-Za-z0-9_-]+/g, '-').replaceAll(/^[^A-Za-z]+|[-_]+$/g, '');
  const digits = wanted.replaceAll(/[^A-Za-z0-9]+/g, '-').replaceAll(/^-+|-+$/g, '');
  const base = (plain === '' ? (digits === '' ? 'server' : `server-${digits}`) : plain).slice(0, 56);
  const free = RESERVED_NAMES.includes(base) ? `${base}-server` : base;
  let name = free;
  for (let count = 2; taken.has(name) || !NAME_PATTERN.test(name); count++) name = `${free}-${count}`;
  return name;
}

/** Some clients put the program into an object of its own. */
function flattened(entry: JsonObject): JsonObject {
  const { command } = entry;
  if (!isJsonObject(command)) return entry;
  const { path, args, env } = command;
  return { ...entry, command: path, ...(args === undefined ? {} : { args }), ...(env === undefined ? {} : { env }) };
}

function stdioFields(entry: JsonObject, context: EntryContext): Result<JsonObject, string> {
  const { file, note } = context;
  const [command, ...args] = launchLine(entry, note);
  if (command === undefined || command === '') return err('has no command');
  const env = envOf(entry.env, context);
  const cwd = typeof entry.cwd === 'string' ? translate(entry.cwd, context) : file.project;
  if (/^mcp-remote(@|$)/.test(args.find((arg) => !arg.startsWith('-')) ?? '')) {
    note('mcp-remote bridges to a server over HTTP; Turnpike does so itself: see type streamable-http');
  }
  return ok({
    type: 'stdio',
    command: translate(command, context),
    ...(args.length === 0 ? {} : { args: argumentsOf(args, context) }),
    ...(cwd === undefined ? {} : { cwd }),
    ...(Object.keys(env).length === 0 ? {} : { env }),
    ...(Object.keys(env).some((name) => /^(LD_.*|DYLD_.*|NODE_OPTIONS|BASH_ENV)$/.test(name)) ? { allowUnsafeEnv: true } : {}),
  });
}

/** Command and arguments; a line in one text is taken apart, and the shell of another system left out. */
function launchLine(entry: JsonObject, note: (text: string) => void): string[] {
  const command = String(entry.command).trim();
  const args = Array.isArray(entry.args) ? entry.args.map(String) : [];
  if (/^cmd(\.exe)?$/i.test(command) && /^\/c$/i.test(args[0] ?? '') && args.length > 1) {
    note('command: started without cmd /c, which is for Windows');
    return args.slice(1);
  }
  if (args.length === 0 && /\s/.test(command) && !/["'\\]/.test(command) && !command.startsWith('/')) {
    note('command: taken apart at its blanks; no shell runs it');
    return command.split(/\s+/);
  }
  return [command, ...args];
}

function envOf(env: unknown, context: EntryContext): Record<string, string> {
  if (!isJsonObject(env)) return {};
  return Object.fromEntries(
    Object.entries(env).flatMap(([name, value]) => {
      if (typeof value !== 'string' && typeof value !== 'number' && typeof value !== 'boolean') return [];
      return [[name, written(name, String(value), `env.${name}`, context)]];
    }),
  );
}

/** A value as it is written: placeholders as references, secrets as references, everything else as it is. */
function written(name: string, value: string, member: string, context: EntryContext): string {
  const { server, file } = context;
  if (hasPlaceholder(value)) return translate(value, context);
  if (!looksSecret(name, value)) return literal(value);
  return context.variables.holding(value, {
    wanted: name,
    upstream: context.name,
    source: `${server.path}.${member} in ${shortPath(file.file, context.env.HOME)}`,
  });
}

/** `--flag=value`, `--flag value`, `Name: value`; what looks like a secret becomes a reference. */
function argumentsOf(args: readonly string[], context: EntryContext): string[] {
  return args.map((arg, index) => {
    const before = args[index - 1] ?? '';
    const [head = '', value] = /^(--?[\w-]+=|[\w-]+:(?!\/\/)\s*(?:Bearer\s+|Basic\s+)?)(.+)$/is.exec(arg)?.slice(1) ?? ['', arg];
    const name = head === '' ? (before.startsWith('-') ? before : '') : (head.split(/[=:]/, 1)[0] ?? '');
    const text = value ?? arg;
    const isSecret = name === '' ? URL_WITH_PASSWORD.test(text) || (hasSecretLook(text) && !text.includes('/')) : looksSecret(name, text);
    if (hasPlaceholder(arg) || !isSecret || text.startsWith('-')) return translate(arg, context);
    context.note(
      `args[${index}]: holds a secret, which everybody on the machine can see in the list of processes; better give it in env if the server takes it there`,
    );
    const wanted = name === '' ? 'ARGUMENT' : name.replace(/^-+/, '');
    const source = `${context.server.path}.args[${index}] in ${shortPath(context.file.file, context.env.HOME)}`;
    return literal(head) + context.variables.holding(text, { wanted: `${context.name}_${wanted}`, upstream: context.name, source });
  });
}

function toolsOf(entry: JsonObject, note: (text: string) => void): JsonObject | undefined {
  const patterns = (keys: readonly string[]) =>
    keys.flatMap((key) => {
      const list = entry[key];
      if (!Array.isArray(list)) return [];
      if (list.length === 0) note(`${key}: is empty, and was left out`);
      // Characters of patterns stand for themselves in a class.
      return list.filter((name) => typeof name === 'string').map((name) => (name === '*' ? name : name.replaceAll(/[*?[]/g, '[$&]')));
    });
  const allow = patterns(ALLOWING);
  const deny = patterns(DENYING);
  if (allow.length + deny.length === 0) return undefined;
  return { ...(allow.length === 0 ? {} : { allow }), ...(deny.length === 0 ? {} : { deny }) };
}
