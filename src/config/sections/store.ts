import * as z from 'zod';
import { choice, path, secret, secretFile, text } from '../leaves.ts';
import { ALWAYS, objectOf, uniqueBy } from '../rules.ts';

export const STORE_TYPES = ['sqlite', 'memory'] as const;

/** Id of the key that `store.encryptionKey` stands for. */
const SHORT_FORM_ID = 'default';

const KEY = '32 random bytes in base64';

const encryptionKey = z
  .strictObject({
    id: text('up to 64 letters, digits and -._', (id) => (/^[A-Za-z0-9._-]{1,64}$/.test(id) ? undefined : 'is no key id')).meta({
      description: 'Names the key in every row it sealed. Unique.',
    }),
    key: secret(KEY, keyProblem).exactOptional().meta({ description: 'AES-256 key: 32 random bytes in base64.' }),
    keyFile: secretFile('key').exactOptional(),
  })
  .superRefine((entry, context) => {
    const given = ['key', 'keyFile'].filter((name) => Object.hasOwn(objectOf(entry), name));
    if (given.length !== 1)
      context.addIssue({ code: 'custom', message: `has ${given.join(' and ') || 'no key'} (expected exactly one of key and keyFile)` });
  }, ALWAYS);

/** `store`: where small durable values live (identity.md 5 and 11). */
export const storeSection = z
  .strictObject({
    type: choice(STORE_TYPES, ['redis']).prefault('sqlite').meta({
      description: 'Where durable values live; `memory` is the default with `--stdio`.',
    }),
    dir: path()
      .prefault('~/.local/state/turnpike')
      .meta({ description: 'Database, key, audit and the working directory of children; below `$XDG_STATE_HOME` by default where that is set.' }),
    encryptionKeys: z
      .array(encryptionKey)
      .superRefine((keys, context) => uniqueBy(keys, 'id', context), ALWAYS)
      .prefault([])
      .meta({ description: 'The first one seals, all open. Without any, SQLite makes `turnpike.key` (0600) beside its file.' }),
    encryptionKey: secret(KEY, keyProblem).exactOptional().meta({ description: 'Short for one entry of `encryptionKeys`, with the id `default`.' }),
    encryptionKeyFile: secretFile('encryptionKey').exactOptional(),
  })
  .superRefine((store, context) => {
    const given = ['encryptionKeys', 'encryptionKey', 'encryptionKeyFile'].filter((name) => {
      const value = objectOf(store)[name];
      return Array.isArray(value) ? value.length > 0 : value !== undefined;
    });
    if (given.length > 1) context.addIssue({ code: 'custom', message: `has ${given.join(' and ')} (expected one of them)` });
  }, ALWAYS)
  .transform(({ encryptionKey: short, encryptionKeyFile: _read, encryptionKeys, ...store }) => {
    const keys = encryptionKeys.flatMap(({ id, key }) => (key === undefined ? [] : [{ id, key }]));
    return { ...store, encryptionKeys: short === undefined ? keys : [{ id: SHORT_FORM_ID, key: short }] };
  })
  .prefault({})
  .meta({ reload: false, description: 'Where small durable values live.' });

/** identity.md 5, "strength". */
function keyProblem(key: string): string | undefined {
  const bytes = /^[A-Za-z0-9+/_-]+={0,2}$/.test(key) ? Buffer.from(key, 'base64') : Buffer.alloc(0);
  return bytes.length === 32 && new Set(bytes).size >= 16 ? undefined : 'is too weak or malformed: encryption key must be 32 random bytes';
}
