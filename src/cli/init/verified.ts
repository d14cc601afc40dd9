import { loadConfig } from '../../config/load.ts';
import { TurnpikeError } from '../../core/errors.ts';
import { type Draft, draftFile } from './draft-file.ts';

/** A draft without the upstreams that the configuration would refuse; each of these is a note with the reason. */
export async function verified(draft: Draft, cwd: string, env: Readonly<Record<string, string | undefined>>): Promise<Draft> {
  const kept = [];
  const notes = [...draft.notes];
  for (const upstream of draft.upstreams) {
    const problem = await problemOf({ ...draft, upstreams: [upstream] }, cwd, env);
    if (problem === undefined) kept.push(upstream);
    else notes.push(...upstream.origins.map((origin) => `${origin}: left out, ${problem}`));
  }
  const used = JSON.stringify(kept.map(({ fields }) => fields));
  const variables = draft.variables.filter(({ name }) => used.includes(`\${env:${name}}`));
  return { ...draft, upstreams: kept, variables, notes };
}

/** What is wrong with the file that the draft becomes, as `check` would say it once its variables are set; undefined: nothing. */
async function problemOf(
  draft: Draft,
  cwd: string,
  { HOME, XDG_STATE_HOME }: Readonly<Record<string, string | undefined>>,
): Promise<string | undefined> {
  const values = Object.fromEntries(draft.variables.map(({ name, value }) => [name, value ?? 'set-later']));
  try {
    await loadConfig({ file: 'turnpike.yaml', cwd, env: { HOME, XDG_STATE_HOME, ...values }, readFile: async () => Buffer.from(draftFile(draft)) });
    return undefined;
  } catch (error) {
    if (!(error instanceof TurnpikeError) || error.code !== 'config/invalid') throw error;
    // The place is one in a file that is never written.
    return error.message.replaceAll(/^turnpike\.yaml:\d+:\d+ upstreams\[0\]\.?/gm, '').replaceAll('\n', '; ');
  }
}
