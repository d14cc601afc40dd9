import type { JsonObject } from '../../src/core/mcp.ts';
import type { GatewayOverrides } from '../../src/gateway.ts';
import { Rig } from '../e2e/rig.ts';
import { Authority } from '../fixtures/authority.ts';
import { GitLabDouble } from '../fixtures/gitlab/double.ts';

/** Blocks `gitlab` of the two upstreams, over their URLs. */
interface Blocks {
  readonly com?: JsonObject;
  readonly corp?: JsonObject;
}

/** Two instances of GitLab behind one gateway, each an upstream and both a family; disposed, nothing of it is left. */
export class GitLabRig implements AsyncDisposable {
  readonly com: GitLabDouble;
  readonly corp: GitLabDouble;
  readonly rig: Rig;
  readonly #authority: Authority;
  #url = '';

  private constructor(authority: Authority, com: GitLabDouble, corp: GitLabDouble, rig: Rig) {
    this.#authority = authority;
    this.com = com;
    this.corp = corp;
    this.rig = rig;
  }

  /** @param blocks of the upstreams `com` and `corp`, over their URLs. @param more of the configuration. @param upstream further settings of both */
  static async start(
    blocks: Blocks | ((corp: GitLabDouble) => Blocks) = {},
    more: JsonObject = {},
    overrides: GatewayOverrides = {},
    upstream: JsonObject = {},
  ): Promise<GitLabRig> {
    const authority = new Authority('IP:127.0.0.1,IP:::1,DNS:localhost');
    const com = await GitLabDouble.start({ authority });
    const corp = await GitLabDouble.start({ authority, root: '/gitlab' });
    const given = typeof blocks === 'function' ? blocks(corp) : blocks;
    const made = new GitLabRig(authority, com, corp, await Rig.make());
    const document = {
      auth: { modes: ['gitlab'] },
      upstreams: [
        { ...made.#entry('com', com, given.com), ...upstream },
        { ...made.#entry('corp', corp, given.corp), ...upstream },
      ],
      ...more,
    };
    const gateway = await made.rig.start(document, overrides);
    made.#url = gateway.endpoint;
    return made;
  }

  /** Of /mcp. */
  get url(): string {
    return this.#url;
  }

  /** The settings by which callers of `com` may name `corp`, too. */
  static dynamic(corp: GitLabDouble): JsonObject {
    return { dynamicUrl: { enabled: true, allowedHosts: [`${new URL(corp.url).host}/gitlab`], allowPrivateHosts: ['127.0.0.1'] } };
  }

  #entry(name: string, double: GitLabDouble, block: JsonObject = {}): JsonObject {
    return {
      name,
      type: 'gitlab',
      family: { name: 'gitlab', instanceArg: 'instance' },
      tls: { caFile: double.caFile as string },
      gitlab: { url: double.url, ...block },
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.rig[Symbol.asyncDispose]();
    await Promise.all([this.com[Symbol.asyncDispose](), this.corp[Symbol.asyncDispose]()]);
    this.#authority[Symbol.dispose]();
  }
}
