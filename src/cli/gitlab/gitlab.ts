import { access, constants } from 'node:fs/promises';
import { resolve } from 'node:path';
import { proxySettings } from '../../net/proxy-choice.ts';
import { EXIT, type ExitCode } from '../exit-code.ts';
import { serve } from '../serve.ts';
import type { Surroundings } from '../surroundings.ts';
import { standalone } from './document.ts';
import { retold } from './retold.ts';
import { Given } from './variables.ts';

/** As a file would be named. */
const NAME = 'the variables of turnpike gitlab';
const INSECURE = 'NODE_TLS_REJECT_UNAUTHORIZED';

/** `turnpike gitlab`: the built-in GitLab by itself (gitlab.md 2.7). @param flags by variable */
export async function gitlab(flags: Readonly<Record<string, string>>, around: Surroundings): Promise<ExitCode> {
  const say = (text: string) => void around.stderr.write(`turnpike: ${text}\n`);
  const given = Given.read(around.env, flags);
  if (!given.ok) {
    for (const problem of given.error) say(problem);
    return EXIT.failed;
  }
  const insecure = given.value.text(INSECURE) === '0';
  // Towards GitLab alone: nothing else of this process, and no child, is to trust everybody.
  around.unset?.(INSECURE);
  const { [INSECURE]: _, ...env } = around.env;
  const made = standalone(given.value, { insecure });
  if (!made.ok) {
    say(made.error);
    return EXIT.failed;
  }
  const ca = given.value.text('GITLAB_CA_CERT_PATH');
  if (ca !== undefined && !(await isReadable(resolve(around.cwd, ca)))) {
    say(`Failed to read CA certificate: ${ca}`);
    return EXIT.failed;
  }
  const { stdio, front, document, warnings } = made.value;
  for (const warning of warnings) around.stderr.write(`Warning: ${warning}\n`);
  const bytes = Buffer.from(JSON.stringify(document));
  const retell = (problem: string) => retold(problem, given.value, NAME);
  const options = { file: NAME, retell, document: bytes, stdio, flags: {}, proxies: proxySettings(env), ...(stdio ? {} : { standalone: front }) };
  const { [INSECURE]: _flag, ...others } = flags;
  return serve(options, { ...around, env: { ...env, ...others } });
}

async function isReadable(path: string): Promise<boolean> {
  return access(path, constants.R_OK).then(
    () => true,
    () => false,
  );
}
