import type { Era } from '../core/mcp.ts';
import { ParamHeaders } from '../core/mcp-headers.ts';
import type { Capability, CapabilityKind } from '../core/ports.ts';
import { FamilySide } from './families.ts';
import { Form } from './forms.ts';
import { exposedName, REVERSIBLE_SCHEME, reversibleTemplateHead, reversibleUri, uriHead } from './names.ts';
import type { Decision } from './policy.ts';
import type { NameSettings, UpstreamSettings } from './settings.ts';
import { compileTemplate, type UriTemplate } from './uri-template.ts';

/** One capability of one upstream, ready to be put into views. */
export interface Entry {
  readonly kind: CapabilityKind;
  readonly upstream: string;
  readonly original: string;
  readonly capability: Capability;
  readonly decision: Decision;
  /** As listed where its name is unique. */
  readonly plain: Form;
  /** URIs and templates where it is not. */
  readonly reversible: Form;
  /** Templates: what stands before the upstream's own template in `plain`, and a matcher of the latter. */
  readonly head: string;
  readonly template?: UriTemplate;
  /** Tools: the headers that their schema asks for. */
  readonly mirrored: ParamHeaders;
  /** Tools of upstreams with a family: what they are as a part of it. Which of the two they are shown as, `NameTable` knows. */
  readonly family?: FamilySide;
}

const NONE = new ParamHeaders({});

/** `bytes`: the definition after vetting. */
export function entryOf(
  kind: CapabilityKind,
  capability: Capability,
  bytes: Buffer,
  decision: Decision,
  era: Era,
  upstream: UpstreamSettings,
  names: NameSettings,
): Entry {
  const original = capability.id;
  const form = (exposed: string) => new Form(kind, era, original, exposed, bytes);
  const base = { kind, upstream: upstream.name, original, capability, decision };
  if (kind === 'tools' || kind === 'prompts') {
    const plain = form(exposedName(original, upstream, names));
    let mirrored = kind === 'tools' ? undefined : NONE;
    const family =
      kind === 'tools' && upstream.family !== undefined ? { family: new FamilySide(upstream.family, capability, bytes, era, names) } : {};
    return {
      ...base,
      ...family,
      plain,
      reversible: plain,
      head: '',
      // A schema may be large, and most tools of a list are never called.
      get mirrored() {
        mirrored ??= new ParamHeaders(capability.parsed.inputSchema);
        return mirrored;
      },
    };
  }
  const reversibleHead = reversibleTemplateHead(upstream.name);
  const reversible = form(kind === 'resources' ? reversibleUri(upstream.name, original) : `${reversibleHead}${original}`);
  // A foreign URI in our own scheme would read as the name of something else.
  const isOurs = original.toLowerCase().startsWith(REVERSIBLE_SCHEME);
  const head = isOurs ? reversibleHead : uriHead(original, upstream, names);
  const plain = isOurs ? reversible : form(`${head}${original}`);
  const template = kind === 'templates' ? compileTemplate(original) : undefined;
  return { ...base, plain, reversible, head, mirrored: NONE, ...(template === undefined ? {} : { template }) };
}
