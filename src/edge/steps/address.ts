import type { IncomingMessage } from 'node:http';
import { BlockList, isIP } from 'node:net';

/** Networks whose `X-Forwarded-For` is believed (`listen.trustedProxies`). */
export class TrustedProxies {
  readonly #list = new BlockList();
  readonly #empty: boolean;

  constructor(networks: readonly string[]) {
    this.#empty = networks.length === 0;
    for (const network of networks) {
      const [address = '', bits] = network.split('/');
      const family = isIP(address) === 6 ? 'ipv6' : 'ipv4';
      if (bits === undefined) this.#list.addAddress(address, family);
      else this.#list.addSubnet(address, Number(bits), family);
    }
  }

  /** The client's address: the last hop that is not a trusted proxy. */
  addressOf(request: IncomingMessage): string | undefined {
    const peer = request.socket.remoteAddress;
    if (this.#empty || peer === undefined || !this.#holds(peer)) return peer;
    const hops = String(request.headers['x-forwarded-for'] ?? '')
      .split(',')
      .map((hop) => hop.trim());
    for (const hop of hops.reverse()) {
      if (isIP(hop) === 0) return peer;
      if (!this.#holds(hop)) return hop;
    }
    return peer;
  }

  #holds(address: string): boolean {
    const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(address)?.[1] ?? address;
    return this.#list.check(mapped, isIP(mapped) === 6 ? 'ipv6' : 'ipv4');
  }
}
