import { HttpFault } from './faults.ts';

/** Deepest nesting taken; the outermost object is level 1. */
const maximumDepth = 16;

// `Object.assign` and its like would turn these members into a prototype (reliability TI4).
const forbiddenKeys: ReadonlySet<string> = new Set(['__proto__', 'constructor', 'prototype']);

const quote = 0x22;
const comma = 0x2c;
const backslash = 0x5c;
const openBracket = 0x5b;
const closeBracket = 0x5d;
const openBrace = 0x7b;
const closeBrace = 0x7d;

/**
 * Reads one JSON text strictly: valid UTF-8 without a byte-order mark, at most 16 levels, no key twice in one object
 * (compared after unescaping), none of `__proto__`, `constructor`, `prototype` anywhere.
 *
 * @throws HttpFault `bad_json`
 */
export function parseJson(bytes: Uint8Array): unknown {
  try {
    // Bytes are never repaired: two different bodies must not become equal (TI3). A kept mark fails in JSON.parse.
    const text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
    scanStructure(text);
    return JSON.parse(text);
  } catch {
    throw new HttpFault('bad_json');
  }
}

/** As `parseJson`, and refuses every top level but an object, an empty body included. */
export function parseJsonObject(bytes: Uint8Array): Record<string, unknown> {
  const value = parseJson(bytes);
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw new HttpFault('bad_json');
  return value as Record<string, unknown>;
}

/**
 * One pass over the text, without recursion, for the things `JSON.parse` lets through. It follows well-formed text
 * exactly; what it thinks of other text does not matter, since `JSON.parse` refuses that afterwards.
 */
function scanStructure(text: string): void {
  // One entry a level: the keys seen so far in an object, null in an array.
  const levels: (Set<string> | null)[] = [];
  let keyComesNext = false;
  for (let at = 0; at < text.length; at += 1) {
    const code = text.charCodeAt(at);
    if (code === quote) {
      const end = findStringEnd(text, at);
      if (keyComesNext) recordKey(levels.at(-1), text, at, end);
      keyComesNext = false;
      at = end;
    } else if (code === openBrace || code === openBracket) {
      if (levels.length === maximumDepth) throw new SyntaxError('nested too deeply');
      keyComesNext = code === openBrace;
      levels.push(keyComesNext ? new Set() : null);
    } else if (code === closeBrace || code === closeBracket) {
      levels.pop();
      keyComesNext = false;
    } else if (code === comma) {
      keyComesNext = levels.at(-1) instanceof Set;
    }
  }
}

/** Index of the quote that closes the string opened at `open`. */
function findStringEnd(text: string, open: number): number {
  for (let at = open + 1; at < text.length; at += 1) {
    const code = text.charCodeAt(at);
    if (code === quote) return at;
    if (code === backslash) at += 1;
  }
  throw new SyntaxError('string without an end');
}

/** Takes note of the key between the quotes at `open` and `end`. */
function recordKey(seen: Set<string> | null | undefined, text: string, open: number, end: number): void {
  const raw = text.slice(open + 1, end);
  // `"\u0061"` is the same key as `"a"`, so escapes are resolved before comparing (attacks B04).
  const key: string = raw.includes('\\') ? JSON.parse(text.slice(open, end + 1)) : raw;
  if (forbiddenKeys.has(key)) throw new SyntaxError('forbidden key');
  if (seen?.has(key)) throw new SyntaxError('key twice');
  seen?.add(key);
}
