import { isJsonObject } from '../core/mcp.ts';
import { MASK, Secret } from '../core/secret.ts';
import type { Origin } from './draft.ts';
import { CONFIG_TREE } from './keys.ts';
import type { LoadedConfig } from './load.ts';
import { hasSettings } from './provenance.ts';
import { formatDuration, formatSize } from './quantities.ts';
import { nodeAt, type Path, pathText } from './tree.ts';
import { flow } from './yaml-text.ts';

/**
 * The effective configuration as YAML, for `turnpike check`: secrets, references, and the values of `env`, `headers`
 * and `auth` are `***` (aggregator.md 1, "References"); each line says where its value came from.
 */
export function effectiveConfig(loaded: LoadedConfig): string {
  const lines = Object.entries(inSchemaOrder(loaded.config, [], loaded)).flatMap(([name, value]) =>
    entry(`${flow(name)}:`, value, [name], 0, loaded),
  );
  const width = Math.min(60, Math.max(...lines.map(({ text }) => text.length)));
  return `${lines.map(({ text, origin }) => (origin === undefined ? text : `${text.padEnd(width)} # ${originText(origin)}`)).join('\n')}\n`;
}

interface Line {
  readonly text: string;
  readonly origin?: Origin;
}

function entry(head: string, value: unknown, path: Path, depth: number, loaded: LoadedConfig): Line[] {
  const indent = '  '.repeat(depth);
  if (!hasSettings(value)) {
    return [{ text: `${indent}${head} ${printed(value, path, loaded)}`, origin: loaded.provenance.get(pathText(path)) ?? { source: 'default' } }];
  }
  if (!Array.isArray(value)) {
    const inner = Object.entries(inSchemaOrder(value, path, loaded));
    return [{ text: `${indent}${head}` }, ...inner.flatMap(([name, child]) => entry(`${flow(name)}:`, child, [...path, name], depth + 1, loaded))];
  }
  const items = value.flatMap((item, index) => {
    const here = [...path, index];
    const lines = Object.entries(inSchemaOrder(item, here, loaded)).flatMap(([name, child]) =>
      entry(`${flow(name)}:`, child, [...here, name], depth + 2, loaded),
    );
    const [first, ...rest] = lines;
    return first === undefined ? [] : [{ ...first, text: `${indent}  - ${first.text.trimStart()}` }, ...rest];
  });
  return [{ text: `${indent}${head}` }, ...items];
}

function printed(value: unknown, path: Path, { config, referenced }: LoadedConfig): string {
  if (value instanceof Secret || isHidden(path, referenced)) return `'${MASK}'`;
  if (value instanceof Date) return value.toISOString();
  if (Array.isArray(value)) return flow(value.map((item, index) => (referenced.has(pathText([...path, index])) ? MASK : item)));
  const kind = nodeAt(CONFIG_TREE, path, config)?.declaration.kind;
  if (kind === 'duration' && typeof value === 'number') return formatDuration(value);
  if (kind === 'size' && typeof value === 'number') return formatSize(value);
  // A key in the query is as good as a password.
  if (path.at(-1) === 'url' && typeof value === 'string') return flow(value.replace(/\?.*$/, `?${MASK}`));
  return flow(value);
}

/** Whether a value came from a reference, or was made from a setting that did. */
function isHidden(path: Path, referenced: ReadonlySet<string>): boolean {
  return [path, ...sourcesOf(path)].some((source) => referenced.has(pathText(source)));
}

/** The settings that a computed default is made from. */
function sourcesOf(path: Path): readonly Path[] {
  const [section, index, name] = path;
  if (section === 'listen' && (index === 'publicUrl' || index === 'allowedHosts'))
    return [
      ['listen', 'publicUrl'],
      ['listen', 'host'],
      ['listen', 'port'],
    ];
  if (section !== 'upstreams' || index === undefined) return [];
  if (name === 'toolPrefix') return [[section, index, 'name']];
  if (name === 'cwd') return [['store', 'dir']];
  if (name === 'endpoints') return path[4] === 'url' ? [[section, index, 'url']] : [];
  if (name !== 'pool') return [];
  return path[3] === 'maxConnections' ? [['pool', 'limits', 'perUpstream']] : [['pool', ...path.slice(3)]];
}

/** The schema's order of keys is the reader's; what transforms add comes last. */
function inSchemaOrder(value: unknown, path: Path, { config }: LoadedConfig): Record<string, unknown> {
  if (!isJsonObject(value)) return {};
  const node = path.length === 0 ? CONFIG_TREE : nodeAt(CONFIG_TREE, path, config);
  const known = node?.type === 'object' ? [...node.keys.keys()] : [];
  const names = [...known.filter((name) => Object.hasOwn(value, name)), ...Object.keys(value).filter((name) => !known.includes(name))];
  return Object.fromEntries(names.filter((name) => value[name] !== undefined).map((name) => [name, value[name]]));
}

function originText({ source, where }: Origin): string {
  return where === undefined ? source : `${source} ${where}`;
}
