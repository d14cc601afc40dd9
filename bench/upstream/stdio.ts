// The echo server over its pipes, both eras. Answers to the lines of one chunk leave in one write, as a quick server does it.
import { isJsonObject, type JsonObject, META, MODERN_VERSION } from '../../src/core/mcp.ts';
import { Echo, eventOf } from './echo.ts';

const echo = new Echo(40);
let rest = '';

process.stdin.setEncoding('utf8');
process.stdin.on('data', (chunk: string) => {
  const lines = (rest + chunk).split('\n');
  rest = lines.pop() ?? '';
  let out = '';
  for (const line of lines) if (line !== '') out += answer(JSON.parse(line) as JsonObject);
  if (out !== '') process.stdout.write(out);
});
process.stdin.on('end', () => process.exit(0));

function answer(message: JsonObject): string {
  const meta = isJsonObject(message.params) && isJsonObject(message.params._meta) ? message.params._meta : {};
  const reply = echo.answer(message, meta[META.protocolVersion] === MODERN_VERSION);
  if (reply === undefined) return '';
  let out = '';
  for (let progress = 1; progress <= reply.events; progress++) out += `${eventOf(reply, progress)}\n`;
  return `${out}${JSON.stringify(reply.message)}\n`;
}
