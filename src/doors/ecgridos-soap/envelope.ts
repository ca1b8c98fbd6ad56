import { type FaultDetail, type FaultId, faultString, faultTable, SoapFault } from './faults.ts';
import { decodeXml, MalformedXml, readXml, type XmlElement } from './xml-reader.ts';
import { element, writeDocument, type Xml } from './xml-writer.ts';

export type SoapVersion = '1.1' | '1.2';

const envelopes: Readonly<Record<SoapVersion, string>> = {
  '1.1': 'http://schemas.xmlsoap.org/soap/envelope/',
  '1.2': 'http://www.w3.org/2003/05/soap-envelope',
};

/** The media type of a version, in requests and answers. */
export const mediaTypes: Readonly<Record<SoapVersion, string>> = {
  '1.1': 'text/xml',
  '1.2': 'application/soap+xml',
};

/**
 * The one operation element of a request, after the SOAP processing rules (sections 3.5 to 3.10 of the contract).
 * @throws SoapFault F11, F12, F13
 */
export function readEnvelope(bytes: Uint8Array, charset: string | undefined, version: SoapVersion): XmlElement {
  const envelope = parse(bytes, charset);
  if (envelope.name !== 'Envelope') throw malformed('structure');
  if (envelope.namespace !== envelopes[version]) throw new SoapFault('F12');
  const [first, second] = envelope.children;
  const header = isPart(first, version, 'Header') ? first : undefined;
  const body = header === undefined ? first : second;
  const parts = header === undefined ? 1 : 2;
  if (!isPart(body, version, 'Body') || envelope.children.length > parts || hasText(envelope))
    throw malformed('structure');
  if (header !== undefined) refuseMandatoryHeaders(header, version);
  const [operation] = body.children;
  if (operation === undefined || body.children.length > 1 || hasText(body)) throw malformed('structure');
  return operation;
}

function parse(bytes: Uint8Array, charset: string | undefined): XmlElement {
  try {
    const { text, encoding } = decodeXml(bytes, charset);
    return readXml(text, encoding);
  } catch (error) {
    if (error instanceof MalformedXml) throw malformed(error.reason);
    throw error;
  }
}

function malformed(reason: string): SoapFault {
  return new SoapFault('F11', { message: reason });
}

function isPart(part: XmlElement | undefined, version: SoapVersion, name: string): part is XmlElement {
  return part !== undefined && part.name === name && part.namespace === envelopes[version];
}

function hasText(parent: XmlElement): boolean {
  return parent.text.trim() !== '';
}

/** No header is understood here, so a mandatory one aimed at us ends the request before anything happens. */
function refuseMandatoryHeaders(header: XmlElement, version: SoapVersion): void {
  const mandatory = header.children.filter((block) => isMandatory(block, version) && isForUs(block, version));
  if (mandatory.length > 0) throw new SoapFault('F13', { notUnderstood: mandatory });
}

function isMandatory(block: XmlElement, version: SoapVersion): boolean {
  const value = attributeOf(block, version, 'mustUnderstand')?.trim();
  if (value === undefined || value === '0' || value === 'false') return false;
  if (value === '1' || value === 'true') return true;
  throw malformed('structure');
}

function isForUs(block: XmlElement, version: SoapVersion): boolean {
  const target = attributeOf(block, version, version === '1.1' ? 'actor' : 'role') ?? '';
  if (target === '') return true;
  if (version === '1.1') return target === 'http://schemas.xmlsoap.org/soap/actor/next';
  return target === `${envelopes['1.2']}/role/next` || target === `${envelopes['1.2']}/role/ultimateReceiver`;
}

function attributeOf(block: XmlElement, version: SoapVersion, name: string): string | undefined {
  const found = block.attributes.find(
    (attribute) => attribute.name === name && attribute.namespace === envelopes[version],
  );
  return found?.value;
}

/** The whole answer around a response element. */
export function writeEnvelope(version: SoapVersion, body: Xml, header: readonly Xml[] = []): string {
  const parts = [...(header.length === 0 ? [] : [element('soap:Header', header)]), element('soap:Body', [body])];
  return writeDocument(element('soap:Envelope', parts, { 'xmlns:soap': envelopes[version] }));
}

/** The whole answer that tells a fault, and its HTTP status: 500, but 400 for a 1.2 fault of the sender. */
export function writeFault(
  version: SoapVersion,
  id: FaultId,
  detail: FaultDetail,
): { text: string; status: 400 | 500 } {
  const { code } = faultTable[id];
  const fault = version === '1.1' ? fault11(id, detail) : fault12(id, detail);
  const status = version === '1.2' && code === 'Client' ? 400 : 500;
  return { text: writeEnvelope(version, fault, version === '1.2' ? headerOf(id, detail) : []), status };
}

function fault11(id: FaultId, detail: FaultDetail): Xml {
  return element('soap:Fault', [
    element('faultcode', [`soap:${faultTable[id].code}`]),
    element('faultstring', [faultString(id, detail)]),
    ...detailOf(id, detail, 'detail'),
  ]);
}

function fault12(id: FaultId, detail: FaultDetail): Xml {
  const codes = {
    Client: 'Sender',
    Server: 'Receiver',
    VersionMismatch: 'VersionMismatch',
    MustUnderstand: 'MustUnderstand',
  };
  return element('soap:Fault', [
    element('soap:Code', [element('soap:Value', [`soap:${codes[faultTable[id].code]}`])]),
    element('soap:Reason', [element('soap:Text', [faultString(id, detail)], { 'xml:lang': 'en' })]),
    ...detailOf(id, detail, 'soap:Detail'),
  ]);
}

/** Field clients take the first child as `ErrorInfo` and read its four children unchecked: always all, always in this order. */
function detailOf(id: FaultId, detail: FaultDetail, name: string): Xml[] {
  const { info, word, message } = faultTable[id];
  if (info === null) return [];
  const errorInfo = element('ErrorInfo', [
    element('ErrorCode', [String(info.code)]),
    element('ErrorString', [info.text]),
    element('ErrorItem', [detail.item ?? itemOf(id)]),
    element('ErrorMessage', [detail.message ?? message]),
  ]);
  return [element(name, [errorInfo, element('ECGridOSSOAPErrorCode', [word])])];
}

function itemOf(id: FaultId): string {
  if (id === 'F1') return 'SessionID';
  return id === 'F10' ? 'SOAPAction' : '';
}

/** SOAP 1.2 tells in a header what is supported, or what was not understood. */
function headerOf(id: FaultId, detail: FaultDetail): Xml[] {
  if (id === 'F12') {
    const supported = (prefix: string, namespace: string) =>
      element('soap:SupportedEnvelope', [], { qname: `${prefix}:Envelope`, [`xmlns:${prefix}`]: namespace });
    return [element('soap:Upgrade', [supported('e1', envelopes['1.2']), supported('e2', envelopes['1.1'])])];
  }
  const blocks = id === 'F13' ? (detail.notUnderstood ?? []) : [];
  return blocks.map((block) => element('soap:NotUnderstood', [], qualify(block)));
}

/** No namespace and XML's own cannot be bound to a prefix of ours (Namespaces in XML 1.0, sections 3 and 6.1). */
function qualify({ namespace, name }: { readonly namespace: string; readonly name: string }): Record<string, string> {
  if (namespace === '') return { qname: name };
  if (namespace === 'http://www.w3.org/XML/1998/namespace') return { qname: `xml:${name}` };
  return { qname: `n:${name}`, 'xmlns:n': namespace };
}
