import type { XmlAttribute, XmlElement } from './xml-reader.ts';

/** Prefix → namespace; the default namespace stands under the empty prefix. */
type Scope = ReadonlyMap<string, string>;
type OpenElement = { readonly element: Growing; readonly scope: Scope; readonly closing: string };
type Growing = XmlElement & { children: XmlElement[]; text: string };

const declaration = /<\?xml version="1\.0"(?: encoding="utf-8")?\?>/iy;
/** References, markup other than tags, and whatever a parser would have to normalize or judge. */
const unplain = /[^\x20-\x25\x27-\x7e\n\t]|<[!?]|\]\]>/;
/** The start of a tag: prefix or name, and name. An over-long name does not match, as its rest is no part of a tag. */
const tagStart = /<([A-Za-z_][\w.-]{0,99})(?::([A-Za-z_][\w.-]{0,99}))?/y;
const attribute = /[ \n\t]+([A-Za-z_][\w.-]{0,99})(?::([A-Za-z_][\w.-]{0,99}))?=(?:"([^"<\n\t]*)"|'([^'<\n\t]*)')/y;
const tagEnd = /[ \n\t]*(\/?)>/y;

const attributesOfNamespaces = 'http://www.w3.org/2000/xmlns/';
const deepest = 16;
const mostElements = 100;
const mostAttributes = 8;
const noScope: Scope = new Map();

/**
 * Reads a document of the plain kind that nearly every client sends: elements, attributes and printable ASCII text, in UTF-8. It takes
 * about 0.6 of the time of a parser for all of XML.
 * @returns undefined for anything else, well-formed or not, which is left to that parser. What it does return is what the parser would
 */
export function readPlain(text: string): XmlElement | undefined {
  declaration.lastIndex = 0;
  const start = declaration.test(text) ? declaration.lastIndex : 0;
  const body = text.slice(start);
  if (unplain.test(body)) return undefined;
  const first = body.length - body.trimStart().length;
  return readElements(body, first);
}

function readElements(text: string, first: number): XmlElement | undefined {
  const open: OpenElement[] = [];
  let root: Growing | undefined;
  let elements = 0;
  let at = first;
  for (;;) {
    if (text.startsWith('</', at)) {
      const closing = open.pop()?.closing;
      if (closing === undefined || !text.startsWith(closing, at)) return undefined;
      at += closing.length;
    } else {
      elements += 1;
      const tag = readTag(text, at);
      const opened = tag === undefined ? undefined : openElement(tag, open.at(-1)?.scope ?? noScope);
      if (tag === undefined || opened === undefined || elements > mostElements || open.length === deepest)
        return undefined;
      root ??= opened.element;
      open.at(-1)?.element.children.push(opened.element);
      if (!tag.isEmpty) open.push(opened);
      at = tag.end;
    }
    const parent = open.at(-1);
    if (parent === undefined) return text.slice(at).trim() === '' ? root : undefined;
    const next = text.indexOf('<', at);
    if (next === -1) return undefined;
    parent.element.text += text.slice(at, next);
    at = next;
  }
}

type Tag = { readonly first: string; readonly second: string | undefined; readonly raw: readonly RawAttribute[] } & {
  readonly isEmpty: boolean;
  readonly end: number;
};

/** One tag, every character of it; the patterns go on where the one before ended. */
function readTag(text: string, at: number): Tag | undefined {
  const start = matchAt(tagStart, text, at);
  if (start === null) return undefined;
  const [, first = '', second] = start;
  const raw: RawAttribute[] = [];
  let end = tagStart.lastIndex;
  for (let found = matchAt(attribute, text, end); found !== null; found = matchAt(attribute, text, end)) {
    raw.push(readAttribute(found));
    end = attribute.lastIndex;
    if (raw.length > mostAttributes) return undefined;
  }
  const closing = matchAt(tagEnd, text, end);
  return closing === null ? undefined : { first, second, raw, isEmpty: closing[1] === '/', end: tagEnd.lastIndex };
}

function matchAt(pattern: RegExp, text: string, at: number): RegExpExecArray | null {
  pattern.lastIndex = at;
  return pattern.exec(text);
}

function openElement({ first, second, raw }: Tag, outer: Scope): OpenElement | undefined {
  const scope = declareNamespaces(raw, outer);
  if (scope === undefined || new Set(raw.map(({ key }) => key)).size < raw.length) return undefined;
  const prefix = second === undefined ? '' : first;
  const namespace = scope.get(prefix) ?? (prefix === '' ? '' : undefined);
  const attributes = resolveAttributes(raw, scope);
  if (namespace === undefined || attributes === undefined) return undefined;
  const element = { namespace, name: second ?? first, attributes, children: [], text: '' };
  return { element, scope, closing: `</${second === undefined ? first : `${first}:${second}`}>` };
}

type RawAttribute = { readonly key: string; readonly prefix: string; readonly name: string; readonly value: string };

function readAttribute([, first = '', second, double, single]: RegExpExecArray): RawAttribute {
  const names = second === undefined ? { prefix: '', name: first } : { prefix: first, name: second };
  return { ...names, key: `${names.prefix}:${names.name}`, value: double ?? single ?? '' };
}

function isDeclaration({ prefix, name }: RawAttribute): boolean {
  return prefix === 'xmlns' || (prefix === '' && name === 'xmlns');
}

/** Prefixes and namespaces that XML keeps for itself, and a prefix without a namespace, are not plain. */
function declareNamespaces(raw: readonly RawAttribute[], outer: Scope): Scope | undefined {
  if (!raw.some(isDeclaration)) return outer;
  const scope = new Map(outer);
  for (const one of raw.filter(isDeclaration)) {
    const isReserved = one.name.toLowerCase() === 'xml' || (one.prefix === 'xmlns' && one.name === 'xmlns');
    const isOdd =
      /\s/.test(one.value) ||
      one.value.startsWith('http://www.w3.org/XML/1998/') ||
      one.value === attributesOfNamespaces;
    if (isReserved || isOdd || (one.prefix === 'xmlns' && one.value === '')) return undefined;
    scope.set(one.prefix === '' ? '' : one.name, one.value);
  }
  return scope;
}

/** At most one attribute of a foreign namespace: two could be the same by two prefixes. */
function resolveAttributes(raw: readonly RawAttribute[], scope: Scope): XmlAttribute[] | undefined {
  const isForeign = (one: RawAttribute) => one.prefix !== '' && !isDeclaration(one);
  if (raw.filter(isForeign).length > 1) return undefined;
  const resolved: XmlAttribute[] = [];
  for (const one of raw) {
    const namespace = isDeclaration(one) ? attributesOfNamespaces : one.prefix === '' ? '' : scope.get(one.prefix);
    if (namespace === undefined) return undefined;
    resolved.push({ namespace, name: one.name, value: one.value });
  }
  return resolved;
}
