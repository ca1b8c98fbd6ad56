import { SaxesParser, type SaxesTagNS } from 'saxes';
import { readPlain } from './xml-plain.ts';

/** An element with its namespace resolved; `text` joins its text pieces and CDATA, comments left out. */
export type XmlElement = {
  readonly namespace: string;
  readonly name: string;
  readonly attributes: readonly XmlAttribute[];
  readonly children: readonly XmlElement[];
  readonly text: string;
};

export type XmlAttribute = { readonly namespace: string; readonly name: string; readonly value: string };

/** Why a document is refused: a fixed word, never a piece of the document. */
export type MalformedReason = 'encoding' | 'syntax' | 'doctype' | 'instruction' | 'limit' | 'structure';

export class MalformedXml extends Error {
  readonly reason: MalformedReason;

  constructor(reason: MalformedReason) {
    super(reason);
    this.name = 'MalformedXml';
    this.reason = reason;
  }
}

const strict = { fatal: true } as const;
const decoders = {
  'utf-8': new TextDecoder('utf-8', strict),
  'utf-16le': new TextDecoder('utf-16le', strict),
  'utf-16be': new TextDecoder('utf-16be', strict),
};
const deepest = 32;
const mostAttributes = 64;
const longestName = 256;
const mostElements = 2_000;

/**
 * Decodes strict UTF-8, or UTF-16 with its mark.
 * @param charset what the media type declares, in lower case; undefined for nothing
 * @throws MalformedXml `encoding` for invalid bytes or a declaration that the bytes contradict
 */
export function decodeXml(bytes: Uint8Array, charset: string | undefined): { text: string; encoding: string } {
  const little = bytes[0] === 0xff && bytes[1] === 0xfe;
  const big = bytes[0] === 0xfe && bytes[1] === 0xff;
  const encoding = little || big ? 'utf-16' : 'utf-8';
  if (charset !== undefined && charset !== encoding) throw new MalformedXml('encoding');
  const label = little ? 'utf-16le' : big ? 'utf-16be' : 'utf-8';
  try {
    return { text: decoders[label].decode(bytes), encoding };
  } catch {
    throw new MalformedXml('encoding');
  }
}

type OpenElement = XmlElement & { children: XmlElement[]; text: string };

/**
 * Parses one document with guards that end the work at the first excess: no DOCTYPE and so no entity but the five, no processing
 * instruction, XML 1.0 in the encoding of the bytes, bounded depth, attributes, names and elements (reliability, TI5).
 * @throws MalformedXml
 */
export function readXml(text: string, encoding: string): XmlElement {
  return (encoding === 'utf-8' ? readPlain(text) : undefined) ?? parseXml(text, encoding);
}

/** `readXml` without the shorter way for plain documents. */
export function parseXml(text: string, encoding: string): XmlElement {
  const parser = new SaxesParser({ xmlns: true });
  const open: OpenElement[] = [];
  let root: OpenElement | undefined;
  let elements = 0;
  let attributes = 0;

  const refuse = (reason: MalformedReason) => {
    throw new MalformedXml(reason);
  };
  const addText = (piece: string) => {
    const element = open.at(-1);
    if (element !== undefined) element.text += piece;
  };

  parser.on('error', () => refuse('syntax'));
  parser.on('doctype', () => refuse('doctype'));
  parser.on('processinginstruction', () => refuse('instruction'));
  parser.on('xmldecl', (declared) => {
    if (declared.version !== '1.0') refuse('syntax');
    if (declared.encoding !== undefined && declared.encoding.toLowerCase() !== encoding) refuse('encoding');
  });
  parser.on('opentagstart', (tag) => {
    elements += 1;
    attributes = 0;
    if (elements > mostElements || open.length >= deepest || tag.name.length > longestName) refuse('limit');
  });
  parser.on('attribute', (attribute) => {
    attributes += 1;
    if (attributes > mostAttributes || attribute.name.length > longestName) refuse('limit');
  });
  parser.on('opentag', (tag) => {
    const element = toElement(tag);
    open.at(-1)?.children.push(element);
    open.push(element);
    root ??= element;
  });
  parser.on('closetag', () => {
    open.pop();
  });
  parser.on('text', addText);
  parser.on('cdata', addText);
  parser.write(text).close();
  // saxes reports an empty or unfinished document as an error; this is for the type.
  return root ?? refuse('structure');
}

function toElement(tag: SaxesTagNS): OpenElement {
  const attributes = Object.values(tag.attributes).map(({ uri, local, value }) => ({
    namespace: uri,
    name: local,
    value,
  }));
  return { namespace: tag.uri, name: tag.local, attributes, children: [], text: '' };
}
