import { headerNameProblem, headerValueProblem } from '../../config/sections/upstream-rules.ts';
import { isJsonObject, type JsonObject } from '../../core/mcp.ts';
import { err, ok, type Result } from '../../core/result.ts';
import { shortPath } from './client-places.ts';
import type { EntryContext } from './entry-context.ts';
import { hasPlaceholder, literal, translate } from './placeholders.ts';
import { looksSecret } from './secret-look.ts';

const SSE = 'sse';
const HTTP = 'streamable-http';

/** The members of a server that is reached over HTTP; the error says why it cannot be one of ours. */
export function remoteFields(entry: JsonObject, context: EntryContext): Result<JsonObject, string> {
  const address = [entry.url, entry.serverUrl, entry.httpUrl].find((one) => typeof one === 'string');
  if (typeof address !== 'string') return err('has neither command nor url');
  const type = typeOf(entry, address, context);
  if (type === undefined) return err(`has a transport that Turnpike does not speak (it speaks stdio, ${HTTP} and ${SSE})`);
  const taken = urlOf(address, context);
  if (!taken.ok) return taken;
  const { url, credential } = taken.value;
  const { headers, auth } = headersOf(entry.headers, credential, context);
  return ok({
    type,
    url,
    ...(Object.keys(headers).length === 0 ? {} : { headers }),
    ...(auth === undefined ? {} : { auth }),
  });
}

function typeOf(entry: JsonObject, address: string, { note }: EntryContext): string | undefined {
  const said = String(entry.type ?? entry.transport ?? '').toLowerCase();
  if (said === SSE) return SSE;
  if (/^(http|streamable-?http|remote)$/.test(said) || typeof entry.httpUrl === 'string') return HTTP;
  if (said !== '') return undefined;
  if (!/\/sse\/?([?#]|$)/.test(address)) return HTTP;
  note(`url: ends in /sse, so the type is ${SSE}; if the server speaks streamable HTTP there, write ${HTTP}`);
  return SSE;
}

/** The address without what must not stand in it: a user name becomes a credential, a key in the query a reference. */
function urlOf(address: string, context: EntryContext): Result<{ readonly url: string; readonly credential?: string }, string> {
  const { variables, server, file, name, note } = context;
  if (!hasPlaceholder(address) && !URL.canParse(address)) return err('has a url that is none');
  const source = `${server.path}.url in ${shortPath(file.file, context.env.HOME)}`;
  const userinfo = /^(https?:\/\/)([^/?#@]+)@/i.exec(address);
  let plain = address;
  let credential: string | undefined;
  if (userinfo !== null) {
    plain = `${userinfo[1]}${address.slice(userinfo[0].length)}`;
    credential = `Basic ${Buffer.from(decoded(userinfo[2] ?? '')).toString('base64')}`;
    note('url: its user name and password are sent as the Authorization header');
  }
  const query = plain.indexOf('?');
  if (query === -1) return ok({ url: translate(plain, context), ...(credential === undefined ? {} : { credential }) });
  const parameters = plain
    .slice(query + 1)
    .split('&')
    .map((pair) => {
      const equals = pair.indexOf('=');
      const key = equals === -1 ? pair : pair.slice(0, equals);
      const value = equals === -1 ? '' : pair.slice(equals + 1);
      if (hasPlaceholder(value) || !looksSecret(key, value)) return translate(pair, context);
      return `${literal(key)}=${variables.holding(value, { wanted: `${name}_${key}`, upstream: name, source })}`;
    });
  return ok({ url: `${translate(plain.slice(0, query), context)}?${parameters.join('&')}`, ...(credential === undefined ? {} : { credential }) });
}

/** Headers; the Authorization header, or the first that holds a secret, is the credential. */
function headersOf(
  given: unknown,
  credential: string | undefined,
  context: EntryContext,
): { readonly headers: Record<string, string>; readonly auth?: JsonObject } {
  const { note, variables, name: upstream, server, file } = context;
  const headers: Record<string, string> = {};
  const reference = (name: string, value: string): string => {
    if (hasPlaceholder(value)) return translate(value, context);
    const [, scheme = '', secret = value] = /^(Bearer\s+|Basic\s+|Token\s+)?(.*)$/is.exec(value) ?? [];
    const wanted = `${upstream}_${name.toLowerCase() === 'authorization' ? 'TOKEN' : name}`;
    return (
      scheme + variables.holding(secret, { wanted, upstream, source: `${server.path}.headers.${name} in ${shortPath(file.file, context.env.HOME)}` })
    );
  };
  let auth = credential === undefined ? undefined : headerAuth('Authorization', reference('Authorization', credential));
  const entries = Object.entries(isJsonObject(given) ? given : {}).sort(([a], [b]) => Number(isAuthorization(b)) - Number(isAuthorization(a)));
  for (const [name, found] of entries) {
    const value = String(found).trim();
    const problem = headerNameProblem(name) ?? headerValueProblem(value);
    if (problem !== undefined) note(`headers.${name}: ${problem}`);
    else if (Object.keys(headers).some((one) => one.toLowerCase() === name.toLowerCase())) note(`headers.${name}: is there twice but for case`);
    else if (!isAuthorization(name) && !looksSecret(name, value) && !(hasPlaceholder(value) && looksSecret(name, 'a secret')))
      headers[name] = translate(value, context);
    else if (auth === undefined) auth = headerAuth(name, reference(name, value));
    else if (isAuthorization(name)) note('headers.Authorization: the user name and password of the url are sent in its place');
    else headers[name] = reference(name, value);
  }
  return { headers, ...(auth === undefined ? {} : { auth }) };
}

function headerAuth(name: string, value: string): JsonObject {
  return { mode: 'header', header: { name, value } };
}

function isAuthorization(name: string): boolean {
  return name.toLowerCase() === 'authorization';
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
