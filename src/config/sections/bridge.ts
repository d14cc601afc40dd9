import * as z from 'zod';
import { fileUriProblem } from '../addresses.ts';
import { boolean, choices, duration, hasControlCharacters, integer, text } from '../leaves.ts';
import { ALWAYS, uniqueBy } from '../rules.ts';

/** What a bridge may carry: form, url, sampling, its tools, its context, roots (protocol.md 9). */
export const INTERACTIVE = ['f', 'u', 's', 't', 'c', 'r'] as const;

const root = z.strictObject({
  uri: text('a file URI such as file:///srv/docs', fileUriProblem).meta({ description: 'The folder or file.' }),
  name: text('a text of up to 200 characters', rootNameProblem).exactOptional().meta({ description: 'What it is called.' }),
});

/** `bridge`: what servers may ask of clients (protocol.md 9 and 10). */
export const bridgeSection = z
  .strictObject({
    interactive: choices(INTERACTIVE)
      .prefault([...INTERACTIVE])
      .meta({ reload: false, description: 'What upstreams may ask clients: form, url, sampling, its tools, its context, roots.' }),
    stateTtl: duration({ min: 1000 }).prefault('10m').meta({ description: 'How long sealed request state stays valid.' }),
    maxRounds: integer(1, 100).prefault(8).meta({ description: 'How often one call may ask for input.' }),
    roundTimeout: duration({ min: 1000 }).prefault('10m').meta({ description: 'How long a client may take to answer one round.' }),
    gatherWindow: duration({ max: 1000 })
      .prefault('25ms')
      .meta({ description: 'How long questions of one call are gathered before they leave together.' }),
    replayWindow: duration({ max: 3_600_000 })
      .prefault('60s')
      .meta({ description: 'How long the answer to a retry is kept for the same retry coming again.' }),
    blockSecretForms: boolean().prefault(true).meta({ description: 'Decline forms that ask for passwords, tokens or keys.' }),
    park: z
      .strictObject({
        perPrincipal: integer(1).prefault(16).meta({ description: 'Calls of one principal that may wait for input.' }),
        perUpstream: integer(1).prefault(64).meta({ description: 'Calls to one upstream that may wait for input.' }),
        total: integer(1).prefault(1000).meta({ description: 'Calls that may wait for input in all.' }),
      })
      .prefault({}),
    roots: z
      .record(
        z.string(),
        z.array(root).superRefine((roots, context) => uniqueBy(roots, 'uri', context), ALWAYS),
      )
      .prefault({})
      .meta({ description: 'By upstream: the roots it is told of when it asks outside a call.' }),
  })
  .prefault({})
  .meta({ description: 'What servers may ask of clients.' });

function rootNameProblem(name: string): string | undefined {
  if (name.length > 200) return 'is longer than 200 characters';
  return hasControlCharacters(name) ? 'holds a control character' : undefined;
}
