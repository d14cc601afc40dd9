import { describe, expect, it } from 'vitest';
import { buildProgram } from './program.ts';
import { runProgram } from './run.ts';
import { sampleSurroundings } from './sample-surroundings.ts';

async function run(...args: string[]): Promise<{ readonly code: number; readonly err: string; readonly out: string }> {
  const around = sampleSurroundings();
  const code = await runProgram((state) => buildProgram(around, state), args, around);
  return { code, err: around.err(), out: around.out() };
}

describe('what is no command', () => {
  it.each<[string[], string]>([
    [['srve'], "error: unknown command 'srve'\n(Did you mean serve?)\n(turnpike --help lists commands and flags)\n"],
    [['explian', 'x_a_b'], '(Did you mean explain?)'],
    [['start'], '(Did you mean serve?)'],
    [['validate', 'turnpike.yaml'], '(Did you mean check?)'],
    [['status'], '(Did you mean top?)'],
    [['IMPORT'], '(Did you mean init?)'],
    [['my.yaml'], '(Did you mean serve --config my.yaml?)'],
    [['x_files_read', '{}'], '(Did you mean call x_files_read?)'],
    [['nothing-like-it'], "unknown command 'nothing-like-it'\n(turnpike --help lists"],
    [['constructor'], "unknown command 'constructor'\n(turnpike --help lists"],
    [['conformance-clien'], "unknown command 'conformance-clien'\n(turnpike --help lists"],
    [['esc\u001b[2J.yaml'], '(Did you mean serve --config esc\\u001b[2J.yaml?)'],
    [['--stdio'], "error: '--stdio' is a flag of a command\n(Did you mean serve --stdio?)"],
    [['--nothing-like-it'], "unknown option '--nothing-like-it'\n(turnpike --help lists"],
    [['init', '--ye'], "unknown option '--ye'\n(Did you mean --yes?)"],
    [['init', '--port', '99999'], 'It is no port from 1 to 65535.'],
    [['top', '--interval', 'soon'], 'It is no duration such as 30s or 5m.'],
    [['completion', 'tcsh'], 'Allowed choices are bash, zsh, fish.'],
  ])('%j', async (args, text) => {
    const { code, out, err } = await run(...args);
    expect(err).toContain(text);
    expect([code, out]).toEqual([2, '']);
  });
});
