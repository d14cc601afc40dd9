import * as z from 'zod';
import { choice, integer, secret, secretFile, size, text } from '../leaves.ts';
import { ALWAYS, objectOf } from '../rules.ts';

/** `telemetry`: logs, metrics, audit. */
export const telemetrySection = z
  .strictObject({
    log: z
      .strictObject({
        level: choice(['debug', 'info', 'warn', 'error']).prefault('info').meta({ description: 'The least severe lines that are logged.' }),
        format: choice(['auto', 'json', 'pretty']).prefault('auto').meta({ reload: false, description: '`auto`: pretty on a terminal, else JSON.' }),
      })
      .prefault({}),
    metrics: z
      .strictObject({
        token: secret('a Bearer token: letters, digits and -._~+/ (RFC 6750)', tokenProblem)
          .exactOptional()
          .meta({ description: 'The operations credential: who presents it may read /metrics from another machine.' }),
        tokenFile: secretFile('token').exactOptional(),
      })
      .superRefine((metrics, context) => {
        const given = objectOf(metrics);
        if (Object.hasOwn(given, 'token') && Object.hasOwn(given, 'tokenFile')) {
          context.addIssue({ code: 'custom', message: 'has token and tokenFile (expected one of them)' });
        }
      }, ALWAYS)
      .prefault({}),
    audit: z
      .strictObject({
        file: text('a path, or - for standard error')
          .prefault('audit.jsonl')
          .meta({ reload: false, description: 'Where each call is recorded; a relative path is in `store.dir`, `-` is standard error.' }),
        onError: choice(['continue', 'refuse'])
          .prefault('continue')
          .meta({ reload: false, description: 'What happens to calls while records cannot be written.' }),
        maxBytes: size(64 * 1024, 1024 ** 4)
          .prefault('100MiB')
          .meta({ reload: false, description: 'The file is rotated at this size.' }),
        maxFiles: integer(1, 1000).prefault(5).meta({ reload: false, description: 'How many files are kept, the current one included.' }),
      })
      .prefault({}),
  })
  .prefault({})
  .meta({ description: 'Logs, metrics and audit.' });

function tokenProblem(token: string): string | undefined {
  return /^[A-Za-z0-9\-._~+/]+=*$/.test(token) ? undefined : 'cannot be sent as a Bearer token';
}
