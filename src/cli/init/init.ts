import { randomBytes } from 'node:crypto';
import { readFile, stat } from 'node:fs/promises';
import { resolve } from 'node:path';
import { readProblem } from '../../config/references.ts';
import { sha256 } from '../../core/secret.ts';
import { redactText } from '../../telemetry/redact.ts';
import { EXIT, type ExitCode } from '../exit-code.ts';
import type { Surroundings } from '../surroundings.ts';
import { type ClientFile, namedPlace, readClientFile } from './client-file.ts';
import { type ClientPlace, clientPlaces } from './client-places.ts';
import { type Draft, draftFile } from './draft-file.ts';
import { importServers } from './import.ts';
import type { Questions } from './questions.ts';
import { closingText } from './report.ts';
import { secretsFile } from './secrets-file.ts';
import { verified } from './verified.ts';
import { writeFileOnce } from './write-once.ts';

export interface InitOptions {
  /** File to write; relative to the working directory. */
  readonly output: string;
  /** Files of clients; undefined: those of this machine that are found. */
  readonly imports?: readonly string[];
  /** File for the secrets that stood in the clients' files. */
  readonly secrets?: string;
  readonly port?: number;
  readonly token: boolean;
  /** Replace what is there. */
  readonly force: boolean;
  /** Ask nothing. */
  readonly yes: boolean;
  readonly platform: NodeJS.Platform;
}

/** Larger files are no lists of servers. Bytes. */
const MAX_CLIENT_FILE = 32 * 1024 * 1024;
const DEFAULT_PORT = 8080;
const SECRETS_FILE = 'turnpike.env';

/** A wish to stop, or an obstacle that was told. */
class Stopped extends Error {
  readonly code: ExitCode;

  constructor(message: string, code: ExitCode) {
    super(message);
    this.code = code;
  }
}

/**
 * `turnpike init`: writes a configuration, from the servers of MCP clients where there are some. What could not be carried over goes
 * to standard error; nothing that exists is replaced unasked.
 */
export async function init(options: InitOptions, around: Surroundings, ask: () => Promise<Questions>): Promise<ExitCode> {
  const { stderr, stdin } = around;
  const isInteractive = !options.yes;
  if (isInteractive && !('isTTY' in stdin && stdin.isTTY === true)) {
    stderr.write(
      'turnpike: init asks questions, and nobody can answer here. Add --yes to take the defaults; turnpike init --help lists the flags.\n',
    );
    return EXIT.usage;
  }
  try {
    return await write(options, around, isInteractive ? await ask() : undefined);
  } catch (error) {
    if (!(error instanceof Stopped)) throw error;
    stderr.write(`turnpike: ${error.message}\n`);
    return error.code;
  }
}

async function write(options: InitOptions, around: Surroundings, questions: Questions | undefined): Promise<ExitCode> {
  const { cwd, env, stdout, stderr } = around;
  const target = resolve(cwd, options.output);
  questions?.open('Turnpike: a new configuration');
  const replace = await mayReplace(target, options, questions);
  const files = await chosenFiles(options, around, questions);
  const port = options.port ?? (questions === undefined ? DEFAULT_PORT : await portFrom(questions));
  const token = (await wantsToken(options, questions)) ? randomBytes(32).toString('base64url') : undefined;
  const draft: Draft = await verified(
    { port, ...importServers(files, { env, port }), ...(token === undefined ? {} : { tokenHash: sha256(token).toString('hex') }) },
    cwd,
    env,
  );
  const secrets = draft.variables.filter(({ value }) => value !== undefined);
  const envFile = secrets.length === 0 ? undefined : await secretsTarget(options, questions, secrets.length);
  if (envFile !== undefined) {
    const isWritten = await writeFileOnce(resolve(cwd, envFile), secretsFile(draft.variables), { replace: options.force });
    if (!isWritten)
      throw new Stopped(`${envFile} exists and was left as it is, and nothing was written. Name another file with --secrets.`, EXIT.failed);
  }
  if (!(await writeFileOnce(target, draftFile(draft), { replace })))
    throw new Stopped(`${options.output} has appeared meanwhile; it was left as it is`, EXIT.failed);
  for (const note of draft.notes) stderr.write(`Changed or left out: ${note}\n`);
  if (secrets.length > 0)
    stderr.write(`Warning: ${options.output} holds variables in place of ${count(secrets.length, 'secret')} of the imported servers.\n`);
  stdout.write(
    closingText({ draft, output: options.output, env, ...(envFile === undefined ? {} : { envFile }), ...(token === undefined ? {} : { token }) }),
  );
  questions?.close(`Written: ${options.output}`);
  return EXIT.done;
}

async function mayReplace(target: string, { output, force }: InitOptions, questions: Questions | undefined): Promise<boolean> {
  if (force || !(await exists(target))) return force;
  if (questions === undefined)
    throw new Stopped(`${output} exists and was left as it is. Replace it with --force, or name another file with --output.`, EXIT.failed);
  const answer = await questions.yes(`${output} exists. Replace it?`, false);
  if (answer !== true) throw new Stopped(`${output} was left as it is`, EXIT.failed);
  return true;
}

/** The clients' files to import: those that were named, or those that are found and chosen. */
async function chosenFiles({ imports, platform }: InitOptions, around: Surroundings, questions: Questions | undefined): Promise<ClientFile[]> {
  const { cwd, env, stderr } = around;
  const places = clientPlaces({ cwd, env, platform });
  if (imports !== undefined) {
    const named = imports.map((file) => namedPlace(resolve(cwd, file), places));
    return Promise.all(
      named.map(async (place) => {
        const read = await readPlace(place, cwd);
        if (typeof read === 'string') throw new Stopped(`${redactText(place.file, 300)} ${read}`, EXIT.failed);
        return read;
      }),
    );
  }
  const found: ClientFile[] = [];
  for (const place of places) {
    if (!(await exists(place.file))) continue;
    const read = await readPlace(place, cwd);
    if (typeof read !== 'string') found.push(read);
    // A client's settings without any servers are nothing to talk about.
    else if (!read.startsWith('names no servers')) stderr.write(`turnpike: ${redactText(place.file, 300)} ${read}; it was not read\n`);
  }
  const filled = found.filter(({ servers }) => servers.length > 0);
  if (questions === undefined || filled.length === 0) return filled;
  const choices = filled.map((file) => {
    const label = `${file.client}, ${count(file.servers.length, 'server')}`;
    return { value: file, label: redactText(label), hint: redactText(file.file) };
  });
  const chosen = await questions.several('Take over the servers of', choices);
  if (chosen === undefined) throw cancelled();
  return [...chosen];
}

async function readPlace(place: ClientPlace, cwd: string): Promise<ClientFile | string> {
  try {
    const { size } = await stat(place.file);
    if (size > MAX_CLIENT_FILE) return 'is too large for a list of servers';
    const read = readClientFile(place, await readFile(place.file), cwd);
    return read.ok ? read.value : read.error;
  } catch (error) {
    return readProblem(error);
  }
}

async function portFrom(questions: Questions): Promise<number> {
  const problem = (value: string) =>
    /^\d{1,5}$/.test(value) && Number(value) > 0 && Number(value) < 65_536 ? undefined : 'A port is a number from 1 to 65535.';
  const answer = await questions.text('Port to listen on, for this machine only', String(DEFAULT_PORT), problem);
  if (answer === undefined) throw cancelled();
  return Number(answer);
}

async function wantsToken({ token }: InitOptions, questions: Questions | undefined): Promise<boolean> {
  if (token || questions === undefined) return token;
  const answer = await questions.yes('Must clients show a token? Without one, every program on this machine may call', false);
  if (answer === undefined) throw cancelled();
  return answer;
}

async function secretsTarget({ secrets }: InitOptions, questions: Questions | undefined, number: number): Promise<string | undefined> {
  if (secrets !== undefined || questions === undefined) return secrets;
  const answer = await questions.yes(`Write the ${count(number, 'secret')} of these servers to ${SECRETS_FILE}, which only you can read?`, true);
  if (answer === undefined) throw cancelled();
  return answer ? SECRETS_FILE : undefined;
}

async function exists(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  );
}

function cancelled(): Stopped {
  return new Stopped('cancelled; nothing was written', EXIT.failed);
}

function count(number: number, word: string): string {
  return `${number} ${word}${number === 1 ? '' : 's'}`;
}
