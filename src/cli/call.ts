import { nearest } from '../config/nearest.ts';
import { editObject, parseJson, toJson } from '../core/json.ts';
import { isJsonObject, type JsonObject, TURNPIKE_META } from '../core/mcp.ts';
import { ParamHeaders } from '../core/mcp-headers.ts';
import { err, ok, type Result } from '../core/result.ts';
import { redactText } from '../telemetry/redact.ts';
import type { Reply } from './client.ts';
import { contentText } from './content.ts';
import { EXIT, type ExitCode } from './exit-code.ts';
import type { Surroundings } from './surroundings.ts';
import { failure, type Target, talk } from './target.ts';
import { printable } from './text.ts';
import { listTools } from './tools.ts';

export interface CallOptions extends Target {
  readonly tool: string;
  /** A JSON object, or `-`. */
  readonly args: string;
  readonly json: boolean;
}

/** Most that is read from standard input. Bytes. */
const MAX_INPUT = 64 * 1024 * 1024;

/** `turnpike call`: what the tool says on standard output, progress and failures on standard error. */
export async function call(options: CallOptions, around: Surroundings): Promise<ExitCode> {
  const { stdout, stderr } = around;
  const args = readArguments(options.args === '-' ? await readInput(around) : Buffer.from(options.args));
  if (!args.ok) {
    stderr.write(`turnpike: the arguments ${args.error} (expected a JSON object such as '{"path": "/tmp"}')\n`);
    return EXIT.usage;
  }
  const { bytes, parsed } = args.value;
  return talk(options, around, async (client, signal) => {
    // The gateway demands the headers that the tool's schema asks for, so the schema must be known first.
    const listed = await listTools(client, signal);
    if ('kind' in listed) return failure(listed, around);
    const tool = listed.tools.find(({ name }) => name === options.tool);
    const reply = await client.request({
      method: 'tools/call',
      name: options.tool,
      params: editObject(toJson({ name: options.tool }), { arguments: bytes }),
      headers: new ParamHeaders(tool?.parsed.inputSchema).mint(parsed),
      signal,
      onProgress: (params) => void stderr.write(`${progressText(params)}\n`),
    });
    if (reply.kind === 'error') {
      const like =
        tool === undefined
          ? nearest(
              options.tool,
              listed.tools.map(({ name }) => name),
            )
          : undefined;
      const code = failure(reply, around);
      if (like !== undefined) stderr.write(`(Did you mean ${printable(like, stderr)}?)\n`);
      return code;
    }
    if (options.json) stdout.write(Buffer.concat([reply.bytes, Buffer.from('\n')]));
    return report(reply, options.json, around);
  });
}

function report({ result }: Extract<Reply, { kind: 'result' }>, isPrinted: boolean, { stdout, stderr }: Surroundings): ExitCode {
  if (result.resultType === 'input_required') {
    stderr.write(`turnpike: the tool asks for input${askedText(result)}, and nobody can answer here. Call it from an interactive client.\n`);
    return EXIT.failed;
  }
  const failed = result.isError === true;
  const output = failed ? stderr : stdout;
  if (!isPrinted) for (const text of contentText(result)) output.write(`${printable(text, output)}\n`);
  const isRefused = isJsonObject(result._meta) && Object.hasOwn(result._meta, TURNPIKE_META.refusal);
  if (isRefused) return EXIT.denied;
  return failed ? EXIT.failed : EXIT.done;
}

/** What was asked, as far as it can be said in words. */
function askedText({ inputRequests }: JsonObject): string {
  const requests = isJsonObject(inputRequests) ? Object.values(inputRequests).filter(isJsonObject) : [];
  const asked = requests.map(({ method, params }) => {
    const message = isJsonObject(params) && typeof params.message === 'string' ? `: ${params.message}` : '';
    return `${String(method)}${message}`;
  });
  return asked.length === 0 ? '' : ` (${redactText(asked.join('; '))})`;
}

function progressText({ progress, total, message }: JsonObject): string {
  const share = typeof total === 'number' ? `${String(progress)}/${total}` : String(progress);
  return redactText(`${share}${typeof message === 'string' ? ` ${message}` : ''}`);
}

/** The arguments, to be sent byte for byte: `1.0` and integers beyond 2^53 are others after a second `JSON.stringify`. The error says what is wrong. */
function readArguments(bytes: Buffer | undefined): Result<{ readonly bytes: Buffer; readonly parsed: JsonObject }, string> {
  if (bytes === undefined) return err('are too large');
  const parsed = parseJson(bytes);
  if (!parsed.ok) return err('are no valid JSON');
  return isJsonObject(parsed.value) ? ok({ bytes, parsed: parsed.value }) : err('are JSON, but no object');
}

async function readInput({ stdin }: Surroundings): Promise<Buffer | undefined> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of stdin) {
    const bytes = Buffer.from(chunk);
    size += bytes.length;
    if (size > MAX_INPUT) return undefined;
    chunks.push(bytes);
  }
  return Buffer.concat(chunks);
}
