import { type Operation, operations } from './operations.ts';
import { namespace, writeValue } from './wire.ts';
import { writeEnvelope } from './envelope.ts';
import { element, type Xml } from './xml-writer.ts';

/** The one style sheet of the pages: their content policy admits no inline style. */
export const styleSheet = `body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; color: #222; }
h1 { font-size: 1.6rem; } h2 { font-size: 1.15rem; margin-top: 2rem; }
table { border-collapse: collapse; width: 100%; } td, th { border-bottom: 1px solid #ddd; padding: .4rem .6rem; text-align: left; vertical-align: top; }
pre { background: #f5f5f2; padding: 1rem; overflow-x: auto; white-space: pre-wrap; overflow-wrap: anywhere; } code { font-family: ui-monospace, monospace; font-size: .9em; }
`;

/** The operation list. @param address the full address of the endpoint, to which clients will send */
export function writeOperationList(address: string): string {
  const path = new URL(address).pathname;
  const rows = operations.map(({ name, meaning }) =>
    element('tr', [element('td', [link(`${path}?op=${name}`, name)]), element('td', [meaning])]),
  );
  return page(path, 'ECGridOS', [
    element('pre', [element('code', [address])]),
    element('p', ['SOAP 1.1 and SOAP 1.2, document/literal. ', link(`${path}?WSDL`, 'Service description (WSDL)')]),
    element('table', rows),
  ]);
}

/** One operation: signature, and messages to copy for each binding. */
export function writeOperationPage(address: string, operation: Operation): string {
  const { name, meaning } = operation;
  const path = new URL(address).pathname;
  return page(path, name, [
    element('p', [meaning]),
    element('pre', [signature(operation)]),
    ...sample('SOAP 1.1', soapMessage(address, operation, '1.1')),
    ...sample('SOAP 1.2', soapMessage(address, operation, '1.2')),
    ...sample('Form', formMessage(address, operation)),
    element('p', [link(path, 'All operations')]),
  ]);
}

function page(path: string, title: string, content: readonly Xml[]): string {
  const sheet = path.replace(/\.asmx$/i, '.css');
  const head = element('head', [
    element('meta', [], { charset: 'utf-8' }),
    element('meta', [], { name: 'viewport', content: 'width=device-width, initial-scale=1' }),
    element('title', [`${title} · Cardea`]),
    element('link', [], { rel: 'stylesheet', href: sheet }),
  ]);
  const body = element('body', [element('h1', [title]), ...content]);
  return `<!DOCTYPE html>\n${element('html', [head, body], { lang: 'en' }).xml}`;
}

function link(href: string, text: string): Xml {
  return element('a', [text], { href });
}

function sample(title: string, message: string): Xml[] {
  return [element('h2', [title]), element('pre', [element('code', [message])])];
}

function signature({ name, parameters, result }: Operation): string {
  return `${result} ${name}(${parameters.map((parameter) => `${parameter.type} ${parameter.name}`).join(', ')})`;
}

function soapMessage(address: string, { name, parameters }: Operation, version: '1.1' | '1.2'): string {
  const children = parameters.map((parameter) => writeValue(parameter.name, parameter.type, parameter.type));
  const envelope = writeEnvelope(version, element(name, children, { xmlns: namespace }));
  const action = `${namespace}${name}`;
  const headers =
    version === '1.1'
      ? ['Content-Type: text/xml; charset=utf-8', `SOAPAction: "${action}"`]
      : [`Content-Type: application/soap+xml; charset=utf-8; action="${action}"`];
  return [...requestLines(new URL(address)), ...headers, '', indent(envelope)].join('\n');
}

function formMessage(address: string, { name, parameters }: Operation): string {
  const fields = parameters.map((parameter) => `${parameter.name}=${parameter.type}`).join('&');
  const lines = requestLines(new URL(`${address}/${name}`));
  return [...lines, 'Content-Type: application/x-www-form-urlencoded', '', fields].join('\n');
}

function requestLines({ pathname, host }: URL): string[] {
  return [`POST ${pathname} HTTP/1.1`, `Host: ${host}`];
}

/** A tag to a line, set in by its depth; what stands between two tags of one element stays on their line. */
function indent(xml: string): string {
  let depth = 0;
  const lines = xml.replaceAll('><', '>\n<').split('\n');
  const set = lines.map((line) => {
    if (line.startsWith('</')) depth -= 1;
    const text = '  '.repeat(depth) + line;
    if (/^<[^/?][^>]*[^/]>$/.test(line)) depth += 1;
    return text;
  });
  return set.join('\n');
}
