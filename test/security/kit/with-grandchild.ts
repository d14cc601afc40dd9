// A legacy MCP server on a pipe that has started a helper of its own, deaf to TERM and with its own idea of when to go.
// Arguments: how the server itself takes the end: `polite` goes with its stdin, `deaf` ignores TERM and the end of stdin,
// `gone` exits at once and leaves the helper, `silent` never answers. Environment: NOTE names a file that gets a line when stdin ends.
import { spawn } from 'node:child_process';
import { appendFileSync } from 'node:fs';

const [, self = '', mode = 'polite'] = process.argv;
const stay = () => setInterval(() => {}, 1_000_000);
const deaf = () => {
  for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) process.on(signal, () => {});
};

if (mode === 'helper') {
  deaf();
  stay();
  process.stdout.write('deaf\n');
} else {
  const helper = spawn(process.execPath, [self, 'helper'], { stdio: ['ignore', 'pipe', 'ignore'] });
  await new Promise((resolve) => helper.stdout.once('data', resolve));
  helper.unref();
  helper.stdout.destroy();
  const { NOTE } = process.env;
  if (NOTE !== undefined) process.stdin.once('end', () => appendFileSync(NOTE, `end of stdin ${process.pid}\n`));
  if (mode === 'gone') process.exit(3);
  if (mode === 'deaf') {
    deaf();
    stay();
    process.exit = () => undefined as never;
  }
  if (mode === 'silent') {
    deaf();
    stay();
    process.stdin.resume();
  } else await import('../../fixtures/legacy/server.ts');
}
