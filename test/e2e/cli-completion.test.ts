import { spawnSync } from 'node:child_process';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Rig } from './cli-rig.ts';

const has = (shell: string) => spawnSync(shell, ['-c', 'exit 0']).status === 0;

let rig: Rig;
let scripts: Record<string, string>;
beforeAll(async () => {
  rig = await Rig.make();
  scripts = {};
  for (const shell of ['bash', 'zsh', 'fish']) {
    const { code, out } = await rig.run(['completion', shell]);
    expect(code).toBe(0);
    scripts[shell] = join(rig.folder, `turnpike.${shell}`);
    await writeFile(scripts[shell], out);
  }
  await mkdir(join(rig.folder, 'files'));
  await writeFile(join(rig.folder, 'files', 'my conf.yaml'), '');
});
afterAll(async () => {
  await rig[Symbol.asyncDispose]();
});

/** What is offered for the last word, by each shell's own completion. */
const ask: Record<string, (words: readonly string[]) => Promise<string[]>> = {
  async bash(words) {
    const quoted = words.map((word) => `'${word}'`).join(' ');
    const line = `source '${scripts.bash}'; COMP_WORDS=(turnpike ${quoted}); COMP_CWORD=${words.length}; _turnpike; printf '%s\\n' "\${COMPREPLY[@]}"`;
    return lines(await rig.run(['--norc', '-c', line], { command: ['bash'], cwd: join(rig.folder, 'files') }));
  },
  async fish(words) {
    const line = `source '${scripts.fish}'; complete -C 'turnpike ${words.join(' ')}'`;
    const offered = lines(await rig.run(['--no-config', '-c', line], { command: ['fish'], cwd: join(rig.folder, 'files') }));
    return offered.map((word) => (word.split('\t', 1)[0] ?? '').replaceAll('\\ ', ' '));
  },
  // Completion of zsh runs in its line editor only, on a pseudo terminal; ^G shows what became of the line.
  async zsh(words) {
    const line = `
zmodload zsh/zpty
zpty z zsh -f -i
zpty -w z 'autoload -Uz compinit && compinit -D -u; source ${scripts.zsh}; show() { print -r -- "LINE<$BUFFER>" }; zle -N show; bindkey "^G" show; print READY$((1))'
zpty -r -m z all '*READY1*'
zpty -n -w z "turnpike ${words.join(' ')}"$'\\t\\a'
zpty -r -m z all '*LINE<*>*'
print -r -- $all`;
    const { out } = await rig.run(['-f', '-c', line], { command: ['zsh'], cwd: join(rig.folder, 'files') });
    return [/LINE<(.*)>/.exec(out)?.[1] ?? out];
  },
};

function lines({ out, err }: { readonly out: string; readonly err: string }): string[] {
  expect(err).toBe('');
  return out
    .split('\n')
    .filter((line) => line !== '')
    .sort();
}

for (const shell of ['bash', 'fish']) {
  describe.skipIf(!has(shell))(`${shell} completes (needs ${shell})`, () => {
    const offered = (...words: string[]) => ask[shell]?.(words);

    it('commands', async () => {
      expect(await offered('c')).toEqual(['call', 'check', 'completion']);
      expect(await offered('')).toEqual(expect.arrayContaining(['init', 'serve', 'explain', 'top']));
      expect(await offered('conf')).toEqual([]);
    });

    it('flags of the command', async () => {
      expect(await offered('serve', '--listen-po')).toEqual(['--listen-port']);
      expect(await offered('top', '--on')).toEqual(['--once']);
      expect(await offered('call', '--on')).toEqual([]);
    });

    it('files, blanks in their names included, and words', async () => {
      expect(await offered('check', 'my')).toEqual(['my conf.yaml']);
      expect(await offered('serve', '--config', 'my')).toEqual(['my conf.yaml']);
      expect(await offered('completion', '')).toEqual(['bash', 'fish', 'zsh']);
      expect(await offered('help', 'exp')).toEqual(['explain']);
    });
  });
}

describe.skipIf(!has('zsh'))('zsh completes (needs zsh)', () => {
  it('reads the script, and fills in what is unique', async () => {
    const check = await rig.run(['-f', '-n', scripts.zsh ?? ''], { command: ['zsh'] });
    expect(check).toEqual({ code: 0, out: '', err: '' });
    expect(await ask.zsh?.(['expl'])).toEqual(['turnpike explain ']);
    expect(await ask.zsh?.(['serve', '--listen-por'])).toEqual(['turnpike serve --listen-port=']);
    expect(await ask.zsh?.(['top', '--on'])).toEqual(['turnpike top --once ']);
    expect(await ask.zsh?.(['check', 'my'])).toEqual(['turnpike check my\\ conf.yaml ']);
    expect(await ask.zsh?.(['completion', 'fi'])).toEqual(['turnpike completion fish ']);
  });
});
