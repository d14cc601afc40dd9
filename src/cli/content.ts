import { isJsonObject, type JsonObject } from '../core/mcp.ts';

/** The content of a result as texts for a person: text as it is, everything else described. */
export function contentText(result: JsonObject): string[] {
  const blocks = Array.isArray(result.content) ? result.content : [];
  const texts = blocks.map((block) => (isJsonObject(block) ? blockText(block) : '[content that is no object]'));
  if (texts.length > 0) return texts;
  return result.structuredContent === undefined ? [] : [JSON.stringify(result.structuredContent, null, 2)];
}

function blockText(block: JsonObject): string {
  const { type, text, data, mimeType, uri, name, resource } = block;
  if (type === 'text' && typeof text === 'string') return text;
  if (type === 'image' || type === 'audio') return `[${type}, ${said(mimeType, 'type unknown')}, ${size(data)}]`;
  if (type === 'resource_link') return `[link to ${said(uri, 'nowhere')}${typeof name === 'string' ? `, ${name}` : ''}]`;
  if (type === 'resource' && isJsonObject(resource)) {
    if (typeof resource.text === 'string') return resource.text;
    return `[resource ${said(resource.uri, 'without URI')}, ${said(resource.mimeType, 'type unknown')}, ${size(resource.blob)}]`;
  }
  return `[content of type ${said(type, 'unknown')}; --json shows it]`;
}

function size(base64: unknown): string {
  return typeof base64 === 'string' ? `${Buffer.byteLength(base64, 'base64')} bytes` : 'no data';
}

function said(value: unknown, otherwise: string): string {
  return typeof value === 'string' && value !== '' ? value : otherwise;
}
