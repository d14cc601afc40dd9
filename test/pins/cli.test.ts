import { describe, expect, it } from 'vitest';
import manifest from '../../package.json' with { type: 'json' };
import { EXIT } from '../../src/cli/exit-code.ts';
import { VARIABLES } from '../../src/cli/gitlab/variables.ts';
import { buildProgram } from '../../src/cli/program.ts';
import { sampleSurroundings } from '../../src/cli/sample-surroundings.ts';
import { CLI_VARIABLES } from '../../src/config/overrides.ts';

describe('what scripts and users depend on: a change here needs a changeset', () => {
  it('exit codes', () => {
    expect(EXIT).toEqual({ done: 0, failed: 1, usage: 2, denied: 3 });
  });

  it('commands, their arguments and their own flags', () => {
    const program = buildProgram(sampleSurroundings(), { code: EXIT.done });
    const isOwn = (flag: string | undefined) =>
      flag !== undefined && !/^--(listen|auth|store|limits|pool|catalog|policy|bridge|telemetry)-/.test(flag);
    const commands = program.commands.map((command) => [
      command.name(),
      command.registeredArguments.map((argument) => `${argument.name()}${argument.required ? '' : '?'}`).join(' '),
      command.options
        .map(({ long }) => long)
        .filter(isOwn)
        .join(' '),
    ]);
    expect(commands).toEqual([
      ['init', '', '--output --import --no-import --secrets --port --token --force --yes'],
      ['serve', '', '--config --stdio --yolo'],
      ['check', 'file', '--stdio --yolo'],
      ['explain', 'tool', '--as --config --stdio --timeout --yolo'],
      ['list', '', '--json --url --token-file --timeout'],
      ['call', 'tool json?', '--json --url --token-file --timeout'],
      ['top', '', '--once --url --token-file --interval'],
      [
        ...['gitlab', ''],
        [
          '--transport --streamable-http --host --port --remote-authorization --enable-dynamic-api-url --gitlab-api-url --gitlab-allowed-hosts',
          '--gitlab-allow-private-hosts --gitlab-pool-max-size --gitlab-pool-idle-timeout --gitlab-pool-cleanup-interval',
          '--gitlab-server-pool-max-size --max-sessions --max-requests-per-minute --session-timeout-seconds --node-tls-reject-unauthorized',
          '--gitlab-ca-cert-path --gitlab-read-only-mode --gitlab-masking-enabled',
          '--gitlab-toolsets --gitlab-tools --gitlab-denied-tools-regex --gitlab-project-id --gitlab-allowed-project-ids --gitlab-confirm',
          '--gitlab-allow-reveal --gitlab-max-result-bytes --log-level',
        ].join(' '),
      ],
      ['completion', 'shell', ''],
      ['version', '', ''],
      ['conformance-client', 'url', ''],
    ]);
    expect(program.createHelp().visibleCommands(program)).toHaveLength(11);
  });

  it('variables of the command line', () => {
    expect(CLI_VARIABLES).toEqual(['TURNPIKE_CONFIG', 'TURNPIKE_URL', 'TURNPIKE_TOKEN']);
  });

  it('variables of turnpike gitlab (gitlab.md 2.1)', () => {
    expect(VARIABLES.map(({ name }) => name)).toEqual(
      `STREAMABLE_HTTP HOST PORT REMOTE_AUTHORIZATION ENABLE_DYNAMIC_API_URL GITLAB_API_URL GITLAB_ALLOWED_HOSTS GITLAB_ALLOW_PRIVATE_HOSTS
      GITLAB_POOL_MAX_SIZE GITLAB_POOL_IDLE_TIMEOUT GITLAB_POOL_CLEANUP_INTERVAL GITLAB_SERVER_POOL_MAX_SIZE MAX_SESSIONS MAX_REQUESTS_PER_MINUTE SESSION_TIMEOUT_SECONDS
      NODE_TLS_REJECT_UNAUTHORIZED GITLAB_CA_CERT_PATH GITLAB_PERSONAL_ACCESS_TOKEN GITLAB_JOB_TOKEN STREAMABLE_HTTP_AUTH_TOKEN GITLAB_READ_ONLY_MODE
      GITLAB_MASKING_ENABLED GITLAB_TOOLSETS GITLAB_TOOLS GITLAB_DENIED_TOOLS_REGEX GITLAB_PROJECT_ID GITLAB_ALLOWED_PROJECT_IDS
      GITLAB_CONFIRM GITLAB_ALLOW_REVEAL GITLAB_MAX_RESULT_BYTES LOG_LEVEL`.split(/\s+/),
    );
  });

  it('exports, command and engine of the package', () => {
    expect(manifest.exports).toEqual({
      '.': { types: './dist/index.d.ts', default: './dist/index.js' },
      './errors': { types: './dist/core/errors.d.ts', default: './dist/core/errors.js' },
      './launcher': { types: './dist/launcher/index.d.ts', default: './dist/launcher/index.js' },
      './aggregator': { types: './dist/aggregator/index.d.ts', default: './dist/aggregator/index.js' },
      './gitlab': { types: './dist/gitlab/index.d.ts', default: './dist/gitlab/index.js' },
      './testing': { types: './dist/testing/index.d.ts', default: './dist/testing/index.js' },
      './package.json': './package.json',
    });
    expect(manifest.bin).toEqual({ turnpike: 'bin/turnpike.cjs' });
    expect(manifest.engines).toEqual({ node: '>=24' });
  });
});
