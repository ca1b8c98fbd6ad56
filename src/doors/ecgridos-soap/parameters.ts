import { SoapFault } from './faults.ts';
import { namespace } from './wire.ts';
import type { XmlElement } from './xml-reader.ts';

/** A declared parameter. `aliases`: further names under which clients send it. */
export type Parameter = {
  readonly name: string;
  readonly type: 'string' | 'int' | 'short';
  readonly aliases?: readonly string[];
};

/** The texts given for one name, in their order; names compared as the binding compares them. */
export type Given = (name: string) => readonly string[];

const schemaInstance = 'http://www.w3.org/2001/XMLSchema-instance';
const blanks = /^[ \t\r\n]+|[ \t\r\n]+$/g;
const bounds = { int: 2_147_483_647, short: 32_767 } as const;

/** Parameters of a SOAP request: children in the contract's namespace or in none, in any order; nil ones are not given. */
export function givenInSoap(operation: XmlElement): Given {
  const children = operation.children.filter(
    (child) => (child.namespace === namespace || child.namespace === '') && !isNil(child),
  );
  return (name) => children.filter((child) => child.name === name).map((child) => child.text);
}

function isNil(child: XmlElement): boolean {
  const nil = child.attributes.find((attribute) => attribute.namespace === schemaInstance && attribute.name === 'nil');
  return nil?.value.trim() === 'true' || nil?.value.trim() === '1';
}

/**
 * The presented session id, trimmed; empty when it is missing.
 * @throws SoapFault F1 when it is given twice: one must not have to guess which counts
 */
export function readSessionId(given: Given): string {
  const texts = given('SessionID');
  if (texts.length > 1) throw new SoapFault('F1');
  return trim(texts[0] ?? '');
}

/**
 * A text parameter, never trimmed; undefined when it is not given.
 * @throws SoapFault F6 when it is given twice, or under two names with two values; F7 over `most`, counted by `lengthOf`
 */
export function readText(
  given: Given,
  { name, aliases = [] }: Parameter,
  most: number,
  lengthOf: (text: string) => number = (text) => text.length,
): string | undefined {
  const texts = [name, ...aliases].flatMap((key) => {
    const values = given(key);
    if (values.length > 1) throw new SoapFault('F6', { item: name, message: 'The parameter is given more than once.' });
    return values;
  });
  if (new Set(texts).size > 1) {
    throw new SoapFault('F6', { item: name, message: 'The parameter is given under two names with two values.' });
  }
  const [text] = texts;
  if (text !== undefined && lengthOf(text) > most) throw new SoapFault('F7', { item: name, message: `max=${most}` });
  return text;
}

/** A text that must be there. @throws SoapFault F6, and as `readText` */
export function requireText(...read: Parameters<typeof readText>): string {
  const text = readText(...read);
  if (text === undefined || text === '') {
    throw new SoapFault('F6', { item: read[1].name, message: 'The parameter is required.' });
  }
  return text;
}

/**
 * A number parameter; undefined when it is not given.
 * @throws SoapFault F6 for a text that is no number of its type, or for two of them
 */
export function readNumber(given: Given, { name, type }: Parameter & { type: 'int' | 'short' }): number | undefined {
  const texts = given(name);
  if (texts.length === 0) return undefined;
  const text = trim(texts[0] ?? '');
  const value = /^-?\d{1,10}$/.test(text) ? Number(text) : Number.NaN;
  const fits = value >= -bounds[type] - 1 && value <= bounds[type];
  if (texts.length > 1 || !fits)
    throw new SoapFault('F6', { item: name, message: `A value of type ${type} is expected.` });
  return value;
}

function trim(text: string): string {
  // Nearly always there is nothing to trim, which two characters tell sooner than a pattern does.
  return isBlank(text.charCodeAt(0)) || isBlank(text.charCodeAt(text.length - 1)) ? text.replace(blanks, '') : text;
}

function isBlank(code: number): boolean {
  return code <= 0x20;
}
