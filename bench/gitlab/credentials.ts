// How much a pooled credential takes: `--instances N` × `--each N` of them in one ServerPool, as the gateway holds them. GitLab's answers are
// made here, everything else is the product. Needs --expose-gc. Prints bytes of heap, and of buffers, for each.
import { parseArgs } from 'node:util';
import type { ApiAnswer, ApiRequest, GitLabApi } from '../../src/builtin/gitlab/client/api.ts';
import { GitLabClient } from '../../src/builtin/gitlab/client/gitlab-client.ts';
import { GitLabClientPool } from '../../src/builtin/gitlab/client/instance-pool.ts';
import { ServerPool } from '../../src/builtin/gitlab/pool/server-pool.ts';
import { systemClock } from '../../src/core/clock.ts';

const { values } = parseArgs({ options: { instances: { type: 'string', default: '100' }, each: { type: 'string', default: '1000' } } });
const [instances, each] = [Number(values.instances), Number(values.each)];
const clock = systemClock;

/** Asks nobody: whose token it is stands in the token. */
class Answering extends GitLabClient {
  readonly #id: number;

  constructor(options: ConstructorParameters<typeof GitLabClient>[0]) {
    super(options);
    this.#id = Number(options.credential.token.reveal().slice(6, 14)) + 1;
  }

  override async request(_request: ApiRequest): Promise<ApiAnswer> {
    return { status: 200, body: { id: this.#id, username: `person${this.#id}` }, headers: {} };
  }
}

function heap(): { readonly heapUsed: number; readonly external: number } {
  for (let turn = 0; turn < 5; turn++) globalThis.gc?.();
  return process.memoryUsage();
}

await using clients = new GitLabClientPool({ clock, maxSize: instances });
await using pool = new ServerPool<{ readonly api: GitLabApi }>({}, (api) => ({ api }), {
  clock,
  maxSize: instances * each,
  clients: (apiUrl, credential) => new Answering({ apiUrl, credential, instances: clients, clock, version: '0.0.0' }),
});
pool.startRevalidation(new AbortController().signal);
const before = heap();
for (let instance = 0; instance < instances; instance++) {
  const gitlabUrl = `https://gitlab-${instance}.example.com`;
  for (let person = 0; person < each; person++)
    await pool.getOrCreate(`bench-${String(person).padStart(8, '0')}-${instance}`.padEnd(20, '0'), { gitlabUrl });
}
const after = heap();
const per = (key: 'heapUsed' | 'external') => (after[key] - before[key]) / (instances * each);
process.stdout.write(JSON.stringify({ held: pool.size(), heap: per('heapUsed'), external: per('external') }));
process.exit(0);
