import { describe, expect, it } from 'vitest';
import { knownApiUrl } from './api-url.ts';
import { Instances } from './instance.ts';
import { type InstanceSettings, instanceRules } from './instance-rules.ts';

function instances(settings: Partial<InstanceSettings> = {}): Instances {
  const rules = instanceRules({ dynamic: true, allowedHosts: 'gitlab.com, git.corp:8443', ...settings });
  if (!rules.ok) throw new TypeError(rules.error);
  return new Instances(rules.value);
}

const COM = 'https://gitlab.com/api/v4';
const CORP = 'https://git.corp:8443/api/v4';
const chosen = (canonical: string) => expect.objectContaining({ kind: 'instance', url: expect.objectContaining({ canonical }) });
const refused = (status: number, more: object = {}) => expect.objectContaining({ kind: 'refused', status, ...more });

describe('the instance of a request', () => {
  it('is the default without a header, the session its own', () => {
    for (const absent of [undefined, '', ' ', []]) {
      expect(instances().choose(absent)).toEqual(chosen(COM));
      expect(instances().choose(absent, CORP)).toEqual(chosen(CORP));
      expect(instances({ apiUrl: 'http://127.0.0.1:8080/gitlab' }).choose(absent)).toEqual(chosen('http://127.0.0.1:8080/gitlab/api/v4'));
    }
  });

  it('is the one of the header, in any spelling', () => {
    expect(instances().choose('https://GIT.corp:8443/')).toEqual(chosen(CORP));
    expect(instances().choose(['https://git.corp:8443/api/v4'])).toEqual(chosen(CORP));
  });

  it('of a session cannot change', () => {
    expect(instances().choose('https://git.corp:8443', CORP)).toEqual(chosen(CORP));
    expect(instances().choose(COM, CORP)).toEqual(refused(409, { message: 'Session is bound to another GitLab instance' }));
    expect(instances().choose('https://evil.test', CORP)).toEqual(refused(403));
  });

  it('cannot be read from an invalid header, which is never taken for an absent one', () => {
    const message = 'Invalid custom API URL provided';
    expect(instances().choose('nonsense')).toEqual(refused(400, { message, detail: 'not a URL' }));
    expect(instances().choose(['https://gitlab.com', 'https://gitlab.com'])).toEqual(refused(400, { message, detail: 'sent twice' }));
    expect(instances().choose('nonsense', COM)).toEqual(refused(400));
  });

  it.each([
    ...[
      'http://169.254.169.254',
      'https://gitlab.com.evil.test',
      'https://gitlab.com@evil.test',
      'http://git.corp:8443',
      'https://gitlab.com/../x',
      'https://git.corp',
    ],
    ...[
      'https://gitlab.com:8443',
      'http://gitlab.com',
      'https://gitlab.com/gitlab',
      'https://agitlab.com',
      'https://x.gitlab.com',
      'http://127.0.0.1',
      'http://2130706433',
      'https://[::ffff:127.0.0.1]',
    ],
  ])('is not %s, and nothing says what it might be', (url) => {
    const answer = instances().choose(url);
    expect(answer).toEqual(refused(403, { message: 'GitLab API URL is not allowed' }));
    expect(answer).not.toHaveProperty('detail');
  });

  it('is a literal address only if it is public or may be private', () => {
    const allowedHosts = '127.0.0.1:8443, 10.0.0.1, 1.1.1.1, *';
    expect(instances({ allowedHosts }).choose('https://127.0.0.1:8443')).toEqual(refused(403, { reason: 'address' }));
    expect(instances({ allowedHosts }).choose('https://10.0.0.2')).toEqual(refused(403, { reason: 'address' }));
    expect(instances({ allowedHosts }).choose('https://1.1.1.1')).toEqual(chosen('https://1.1.1.1/api/v4'));
    expect(instances({ allowedHosts, allowPrivateHosts: '127.1' }).choose('https://127.0.0.1:8443')).toEqual(chosen('https://127.0.0.1:8443/api/v4'));
  });

  it("may be any of the operator's, wherever they are", () => {
    const rules = { apiUrl: 'https://one.test, http://10.0.0.1:8080/gitlab', allowedHosts: '' };
    expect(instances(rules).choose('http://10.0.0.1:8080/gitlab/')).toEqual(chosen('http://10.0.0.1:8080/gitlab/api/v4'));
    expect(instances(rules).choose(undefined)).toEqual(chosen('https://one.test/api/v4'));
    // Another default takes the place of the usual one.
    expect(instances(rules).choose(COM)).toEqual(refused(403));
    expect(instances(rules).isOperators('http://10.0.0.1:8080/gitlab/api/v4')).toBe(true);
    expect(instances().isOperators(COM)).toBe(false);
    expect(instances({ allowedHosts: '' }).choose(COM)).toEqual(chosen(COM));
  });

  it('has a name of its own in numbers if the operator named it, and not only some that it is one of', () => {
    const rules = { apiUrl: 'https://one.test', allowedHosts: 'git.corp:8443, *.suffix.test, *' };
    const named = (url: string) => instances(rules).isNamed(knownApiUrl(url));
    expect(['https://one.test', 'https://git.corp:8443'].map(named)).toEqual([true, true]);
    expect(['https://git.corp', 'https://a.suffix.test', 'https://b.test', 'http://one.test'].map(named)).toEqual([false, false, false, false]);
  });

  it('matches exact entries alone behind a proxy', () => {
    const behind = { allowedHosts: 'git.corp, *.suffix.test', httpsProxy: 'http://proxy.test', noProxy: 'direct.suffix.test' };
    expect(instances(behind).choose('https://git.corp')).toEqual(chosen('https://git.corp/api/v4'));
    expect(instances(behind).choose('https://a.suffix.test')).toEqual(refused(403));
    expect(instances(behind).choose('https://direct.suffix.test')).toEqual(chosen('https://direct.suffix.test/api/v4'));
  });

  it('is the default, whatever the header says, when it is not dynamic', () => {
    for (const header of ['https://git.corp:8443', 'nonsense', ['a', 'b']]) expect(instances({ dynamic: false }).choose(header)).toEqual(chosen(COM));
  });
});

describe('settings of instances', () => {
  it.each([
    ['GITLAB_API_URL', { apiUrl: 'https://a.test, nonsense' }],
    ['GITLAB_API_URL', { apiUrl: 'https://user:hunter2@a.test' }],
    ['GITLAB_ALLOWED_HOSTS', { allowedHosts: 'a.test,user@b.test' }],
    ['GITLAB_ALLOW_PRIVATE_HOSTS', { allowPrivateHosts: '*.corp' }],
    ['HTTPS_PROXY', { httpsProxy: 'ftp://x' }],
    ['NO_PROXY', { noProxy: 'a:b' }],
    ['GITLAB_ALLOWED_HOSTS', { allowedHosts: '*', httpsProxy: 'http://proxy.test' }],
    ['GITLAB_ALLOWED_HOSTS', { allowedHosts: 'a.test,*', httpProxy: 'http://proxy.test' }],
  ])('%s stops the start by its name', (name, settings) => {
    const rules = instanceRules({ dynamic: true, ...settings });
    expect(rules).toMatchObject({ ok: false, error: expect.stringMatching(new RegExp(`^${name}: `)) });
    expect(JSON.stringify(rules)).not.toContain('hunter2');
  });

  it('may hold API URLs among the hosts', () => {
    expect(instances({ allowedHosts: 'https://git.corp/gitlab/api/v4' }).choose('https://git.corp/gitlab')).toEqual(
      chosen('https://git.corp/gitlab/api/v4'),
    );
  });
});
