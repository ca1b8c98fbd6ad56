import type { XmlAttribute, XmlElement } from './xml-reader.ts';

/** What is in force at an element, the innermost declaration first; the default namespace stands under the empty prefix. */
type Scope = { readonly prefix: string; readonly namespace: string; readonly outer: Scope } | null;
type Name = { readonly prefix: string; readonly name: string };
type RawAttribute = Name & { readonly value: string };
/** The document, and how far it was read. */
type Input = { readonly text: string; at: number; elements: number };

const declaration = /^<\?xml version="1\.0"(?: encoding="utf-8")?\?>/i;
/** References, and characters that a parser would have to normalize or judge. */
const unplain = /[^\x20-\x25\x27-\x7e\n\t]/;
/** Thrown at the first thing that is not plain; it never leaves this file. */
const notPlain = new Error('not a plain document');

const attributesOfNamespaces = 'http://www.w3.org/2000/xmlns/';
const deepest = 16;
const mostElements = 100;
const mostAttributes = 8;
const longestName = 100;
const noAttributes: readonly never[] = [];

const [tab, newLine, blank, quote, apostrophe, slash, colon, lessThan, equals, greaterThan] = codesOf('\t\n "\'/:<=>');
/** By code: 1 for what may stand in a name, 2 for what may begin one as well. */
const nameCharacters = new Uint8Array(128);
for (const code of codesOf('-.0123456789')) nameCharacters[code] = 1;
for (const code of codesOf('_ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz')) nameCharacters[code] = 2;

function codesOf(characters: string): number[] {
  return [...characters].map((character) => character.charCodeAt(0));
}

/**
 * Reads a document of the plain kind that nearly every client sends: elements, attributes and printable ASCII text, in UTF-8. It takes
 * a fraction of the time of a parser for all of XML.
 * @returns undefined for anything else, well-formed or not, which is left to that parser. What it does return is what the parser would
 */
export function readPlain(text: string): XmlElement | undefined {
  if (unplain.test(text) || text.includes(']]>')) return undefined;
  const input = { text, at: declaration.exec(text)?.[0].length ?? 0, elements: 0 };
  try {
    skipBlanks(input);
    const root = readElement(input, null, 1);
    skipBlanks(input);
    return input.at === text.length ? root : undefined;
  } catch (error) {
    if (error === notPlain) return undefined;
    throw error;
  }
}

/** One element with all that is in it, from its `<` on. */
function readElement(input: Input, outer: Scope, depth: number): XmlElement {
  const { text } = input;
  input.elements += 1;
  if (depth > deepest || input.elements > mostElements) throw notPlain;
  expect(input, lessThan);
  const tagAt = input.at;
  const { prefix, name } = readName(input);
  const tag = text.slice(tagAt, input.at);
  const raw = readAttributes(input);
  const scope = declareNamespaces(raw, outer);
  const namespace = namespaceOf(prefix, scope);
  const attributes = raw.length === 0 ? noAttributes : resolveAttributes(raw, scope);
  const isEmpty = skip(input, slash);
  expect(input, greaterThan);
  const children: XmlElement[] = [];
  const inside = isEmpty ? '' : readContent(input, scope, depth, children);
  if (!isEmpty) closeTag(input, tag);
  return { namespace, name, attributes, children, text: inside };
}

/** Text and elements up to the closing tag. @returns the text */
function readContent(input: Input, scope: Scope, depth: number, children: XmlElement[]): string {
  let inside = '';
  for (;;) {
    const next = input.text.indexOf('<', input.at);
    if (next === -1) throw notPlain;
    if (next > input.at) inside += input.text.slice(input.at, next);
    input.at = next;
    if (input.text.charCodeAt(next + 1) === slash) return inside;
    children.push(readElement(input, scope, depth + 1));
  }
}

function closeTag(input: Input, tag: string): void {
  if (!input.text.startsWith(tag, input.at + 2)) throw notPlain;
  input.at += 2 + tag.length;
  expect(input, greaterThan);
}

/** A name, with or without a prefix; not over-long. */
function readName(input: Input): Name {
  const first = readPart(input);
  return skip(input, colon) ? { prefix: first, name: readPart(input) } : { prefix: '', name: first };
}

function readPart(input: Input): string {
  const { text, at } = input;
  // Behind the end there is no code, and no place for one in the table.
  if (nameCharacters[text.charCodeAt(at)] !== 2) throw notPlain;
  let end = at + 1;
  while ((nameCharacters[text.charCodeAt(end)] ?? 0) > 0) end += 1;
  if (end - at > longestName) throw notPlain;
  input.at = end;
  return text.slice(at, end);
}

/** What stands between a tag's name and its end. */
function readAttributes(input: Input): readonly RawAttribute[] {
  let raw: RawAttribute[] | undefined;
  while (skipBlanks(input) && !isTagEnd(input)) {
    const { prefix, name } = readName(input);
    expect(input, equals);
    raw ??= [];
    if (raw.length === mostAttributes || raw.some((one) => one.name === name && one.prefix === prefix)) throw notPlain;
    raw.push({ prefix, name, value: readValue(input) });
  }
  return raw ?? noAttributes;
}

function isTagEnd({ text, at }: Input): boolean {
  const code = text.charCodeAt(at);
  return code === slash || code === greaterThan;
}

/** A value between quotes; blanks but the space would have to be normalized. */
function readValue(input: Input): string {
  const { text, at } = input;
  const mark = text.charCodeAt(at);
  if (mark !== quote && mark !== apostrophe) throw notPlain;
  let end = at + 1;
  for (let code = text.charCodeAt(end); code !== mark; code = text.charCodeAt(end)) {
    if (code === lessThan || code === newLine || code === tab || end === text.length) throw notPlain;
    end += 1;
  }
  input.at = end + 1;
  return text.slice(at + 1, end);
}

/** @returns whether there were any */
function skipBlanks(input: Input): boolean {
  const { text, at } = input;
  let end = at;
  for (let code = text.charCodeAt(end); code === blank || code === newLine || code === tab; ) {
    end += 1;
    code = text.charCodeAt(end);
  }
  input.at = end;
  return end > at;
}

function skip(input: Input, code: number | undefined): boolean {
  if (input.text.charCodeAt(input.at) !== code) return false;
  input.at += 1;
  return true;
}

function expect(input: Input, code: number | undefined): void {
  if (!skip(input, code)) throw notPlain;
}

function isDeclaration({ prefix, name }: RawAttribute): boolean {
  return prefix === 'xmlns' || (prefix === '' && name === 'xmlns');
}

/** Prefixes and namespaces that XML keeps for itself, and a prefix without a namespace, are not plain. */
function declareNamespaces(raw: readonly RawAttribute[], outer: Scope): Scope {
  let scope = outer;
  for (const one of raw) {
    if (!isDeclaration(one)) continue;
    const { prefix, name, value } = one;
    const isReserved = name.toLowerCase() === 'xml' || (prefix === 'xmlns' && name === 'xmlns');
    const isOdd =
      value.includes(' ') || value.startsWith('http://www.w3.org/XML/1998/') || value === attributesOfNamespaces;
    if (isReserved || isOdd || (prefix === 'xmlns' && value === '')) throw notPlain;
    scope = { prefix: prefix === '' ? '' : name, namespace: value, outer: scope };
  }
  return scope;
}

function namespaceOf(prefix: string, scope: Scope): string {
  for (let one = scope; one !== null; one = one.outer) {
    if (one.prefix === prefix) return one.namespace;
  }
  if (prefix !== '') throw notPlain;
  return '';
}

/** At most one attribute of a foreign namespace: two could be the same by two prefixes. */
function resolveAttributes(raw: readonly RawAttribute[], scope: Scope): XmlAttribute[] {
  let foreign = 0;
  return raw.map((one) => {
    const { prefix, name, value } = one;
    if (isDeclaration(one)) return { namespace: attributesOfNamespaces, name, value };
    if (prefix === '') return { namespace: '', name, value };
    foreign += 1;
    if (foreign > 1) throw notPlain;
    return { namespace: namespaceOf(prefix, scope), name, value };
  });
}
