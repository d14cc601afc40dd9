import { VARIABLES } from './variables.ts';

const SECRETS = VARIABLES.filter(({ kind }) => kind === 'secret').map(({ name, about }) => `  ${name}\n      ${about}`);

/** What `turnpike gitlab --help` says besides its flags (gitlab.md 2.6). */
export const GITLAB_HELP = `Each flag is a variable, too. Variables only:
${SECRETS.join('\n')}
  HTTP_PROXY, HTTPS_PROXY, NO_PROXY
      proxies to GitLab

Messages:
  Missing Authorization or Private-Token header
      Send either header; a token has at least 20 characters.
  Invalid custom API URL provided
      X-GitLab-API-URL must be a URL such as https://gitlab.example.com that can be reached from here.
  Server capacity reached
      Wait until idle instances are cleaned up, or raise GITLAB_POOL_MAX_SIZE.
  Rate limit exceeded
      Wait a minute, or raise MAX_REQUESTS_PER_MINUTE.

Sizes of the pool: 10 to 20 for up to 10 instances, 50 to 100 for up to 50, then 100 to 200. GITLAB_POOL_IDLE_TIMEOUT:
600000 if instances are used often, 60000 if rarely.`;
