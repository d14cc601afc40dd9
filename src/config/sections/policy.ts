import * as z from 'zod';
import { boolean, choice, integer, text, words } from '../leaves.ts';

/** Names of upstreams, prefixes (aggregator.md 1). */
export const NAME_PATTERN = /^[a-zA-Z][a-zA-Z0-9_-]{0,62}$/;
export const NAME_EXPECTED = 'a letter, then up to 62 letters, digits, _ and -';

/** `catalog`: names (aggregator.md 2). */
export const catalogSection = z
  .strictObject({
    prefix: text(NAME_EXPECTED, (name) => (NAME_PATTERN.test(name) ? undefined : 'is no prefix'))
      .prefault('x')
      .meta({ description: 'First part of every exposed name.' }),
    maxNameLength: integer(32, 128).prefault(64).meta({ description: 'Longer names are cut and end in 8 digits of their SHA-256.' }),
  })
  .prefault({})
  .meta({ description: 'Exposed names.' });

/** `policy`: what may be called (aggregator.md 3). */
export const policySection = z
  .strictObject({
    denylist: z
      .strictObject({
        extra: words('a list of tool names').prefault([]).meta({ description: 'Original names added to the built-in list of destructive tools.' }),
        except: words('a list of server:tool pairs', pairProblem, { example: '[prod:scale]' })
          .prefault([])
          .meta({ description: 'Pairs of upstream and tool that are lifted from the list.' }),
      })
      .prefault({}),
    annotations: choice(['enforce', 'ignore']).prefault('enforce').meta({ description: 'Whether `destructiveHint: true` counts as listed.' }),
    nonDestructive: boolean().prefault(false).meta({ description: 'Only tools that are known to change nothing may be called.' }),
    yolo: boolean().prefault(false).meta({ description: 'Switches off the denylist and the annotation rule, and nothing else.' }),
    requirePinned: boolean().prefault(false).meta({ description: 'Refuse to start with launch lines that fetch packages without a fixed version.' }),
  })
  .prefault({})
  .meta({ description: 'What may be called.' });

function pairProblem(pair: string): string | undefined {
  return /^[a-zA-Z][a-zA-Z0-9_-]{0,62}:.+$/.test(pair) ? undefined : 'is no server:tool pair';
}
