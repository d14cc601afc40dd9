import * as z from 'zod';
import type { Result } from '../core/result.ts';

/** What a setting is, for reading it from text, printing it, and describing it. */
export type Kind = 'text' | 'path' | 'duration' | 'size' | 'integer' | 'number' | 'boolean' | 'choice' | 'words' | 'secret' | 'date';

/** What is declared about a setting beside its type; attached with zod's `.meta`, read by `tree.ts`. */
export interface Declaration {
  readonly description?: string;
  readonly kind?: Kind;
  /** What is expected, for messages and the reference page. */
  readonly expected?: string;
  /** JSON Schema of what may stand in the file. */
  readonly schema?: Readonly<Record<string, unknown>>;
  /** What `choice` and `words` may be. */
  readonly choices?: readonly string[];
  /** Choices that a later release knows. */
  readonly later?: readonly string[];
  /** Never printed, and has no flag. */
  readonly secret?: boolean;
  /** The name of the secret whose value stands in the file that this setting names. */
  readonly twinOf?: string;
  /** The value must be a reference: it is never written down in the configuration itself. */
  readonly referenceOnly?: boolean;
  /** An empty text is a value too. */
  readonly mayBeEmpty?: boolean;
  /** The file that this path names must be readable when the configuration is loaded. */
  readonly mustExist?: boolean;
  /** `false`: a change takes effect with the next start only; so do those of all settings inside. Default: a running gateway takes it over. */
  readonly reload?: boolean;
  /** Shown on the reference page in place of the default when that is computed. */
  readonly defaultText?: string;
  /** A value for the example file, where there is no default. YAML, one line. */
  readonly example?: string;
}

export type LeafSchema<T> = z.ZodPipe<z.ZodUnknown, z.ZodTransform<T, unknown>>;

/**
 * One setting: reads a value of the file, or of text that `read-text.ts` has read. `read` answers with what is wrong
 * (`is …`, `has …`); what is expected is added here, so that every message has one form.
 */
export function leaf<T>(declaration: Declaration & { readonly expected: string }, read: (value: unknown) => Result<T, string>): LeafSchema<T> {
  const transform = (value: unknown, context: z.RefinementCtx): T => {
    const result = value === undefined ? { ok: false as const, error: 'is missing' } : read(value);
    if (result.ok) return result.value;
    context.addIssue({ code: 'custom', message: `${result.error} (expected ${declaration.expected})` });
    return z.NEVER;
  };
  return z
    .unknown()
    .transform(transform)
    .meta({ ...declaration });
}

/** What a value of the wrong type is called. The value itself is never quoted: it may be a misplaced secret. */
export function typeProblem(value: unknown): string {
  if (value === null) return 'has no value';
  if (Array.isArray(value)) return 'is a list';
  if (typeof value === 'object') return 'is a mapping';
  return typeof value === 'boolean' ? 'is true or false' : `is a ${typeof value}`;
}
