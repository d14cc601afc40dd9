import type { IncomingMessage } from 'node:http';
import type { Exchange } from '../core/exchange.ts';
import { isJsonObject, isLogLevel, type JsonObject, META, MODERN_VERSION } from '../core/mcp.ts';
import { MessageError, type RequestMessage } from './classify.ts';
import { valuesOf } from './header-values.ts';

/** What the envelope of a modern request says. */
export interface Envelope {
  readonly capabilities: JsonObject;
  readonly clientInfo: { readonly name: string; readonly version: string } | undefined;
  readonly logLevel: Exchange['logLevel'];
}

/** Reads envelopes; what was read once of a `_meta` that is kept (`metas.ts`) need not be read again. */
export class Envelopes {
  readonly #known = new WeakMap<JsonObject, Envelope>();

  /** Check 11: what every request carries, with its types; then 12 and 13, the version. `request` is absent on stdio. */
  read(message: RequestMessage, request?: IncomingMessage): Envelope {
    const { meta, progressToken: token } = message;
    if (token !== undefined && typeof token !== 'string' && !Number.isInteger(token))
      throw wrong(message, META.progressToken, 'a string or an integer');
    const known = meta && this.#known.get(meta);
    if (known !== undefined && (request === undefined || request.headers['mcp-protocol-version'] === MODERN_VERSION)) return known;
    const envelope = readEnvelope(message, request);
    if (meta !== undefined && Object.isFrozen(meta)) this.#known.set(meta, envelope);
    return envelope;
  }
}

function readEnvelope(message: RequestMessage, request: IncomingMessage | undefined): Envelope {
  const { meta } = message;
  if (meta === undefined) throw new MessageError(message.id, 'request/envelope', 'params._meta is missing');
  const version = meta[META.protocolVersion];
  const capabilities = meta[META.clientCapabilities];
  const info = meta[META.clientInfo];
  const level = meta[META.logLevel];
  if (typeof version !== 'string') throw wrong(message, META.protocolVersion, 'a string');
  if (!isJsonObject(capabilities)) throw wrong(message, META.clientCapabilities, `an object${capabilities === undefined ? ', and is missing' : ''}`);
  if (info !== undefined && !(isJsonObject(info) && typeof info.name === 'string' && typeof info.version === 'string'))
    throw wrong(message, META.clientInfo, 'an object with name and version');
  if (level !== undefined && !isLogLevel(level)) throw wrong(message, META.logLevel, 'one of the log levels');
  const header = request && valuesOf(request, 'mcp-protocol-version');
  if (header !== undefined && (header.length !== 1 || header[0]?.trim() !== version)) {
    throw new MessageError(message.id, 'request/header', 'MCP-Protocol-Version does not match the body');
  }
  if (version !== MODERN_VERSION) {
    throw new MessageError(message.id, 'request/version', `Unsupported protocol version: ${version}`, {
      data: { supported: [MODERN_VERSION], requested: version },
    });
  }
  return {
    capabilities,
    clientInfo: info as Envelope['clientInfo'],
    logLevel: level,
  };
}

function wrong({ id }: RequestMessage, key: string, expected: string): MessageError {
  return new MessageError(id, 'request/envelope', `params._meta["${key}"] must be ${expected}`);
}
