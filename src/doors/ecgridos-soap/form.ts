import { SoapFault } from './faults.ts';
import type { Given } from './parameters.ts';
import { complexTypes, namespace, type TypeName, type Value, writeValue } from './wire.ts';
import { writeDocument } from './xml-writer.ts';

/**
 * Parameters of a form or query, by name in any letter case. Decoded strictly: what is not UTF-8 is refused, never repaired.
 * @throws SoapFault F6 for an escape or bytes that cannot be decoded
 */
export function givenInForm(text: string): Given {
  const pairs = text === '' ? [] : text.split('&').map(decodePair);
  return (name) => pairs.filter(([key]) => key === name.toLowerCase()).map(([, value]) => value);
}

function decodePair(pair: string): [string, string] {
  const equals = pair.indexOf('=');
  const [key, value] = equals === -1 ? [pair, ''] : [pair.slice(0, equals), pair.slice(equals + 1)];
  return [decode(key).toLowerCase(), decode(value)];
}

/** Bytes beyond ASCII belong into escapes; taken as letters they would be another text than the client meant. */
function decode(text: string): string {
  if (/[^\u0000-\u007f]/.test(text)) throw undecodable();
  try {
    return decodeURIComponent(text.replaceAll('+', ' '));
  } catch {
    throw undecodable();
  }
}

function undecodable(): SoapFault {
  return new SoapFault('F6', { message: 'The form cannot be decoded.' });
}

/** A result without envelope: its root is named after its type. */
export function writeFormResult(type: TypeName, value: Value): string {
  const name = type in complexTypes || typeof value !== 'string' ? type : rootOf(type);
  return writeDocument(writeValue(name, type, value, { xmlns: namespace }));
}

function rootOf(type: TypeName): string {
  return type === 'boolean' || type === 'dateTime' ? type : 'string';
}
