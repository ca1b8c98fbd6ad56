import { type Operation, operations } from './operations.ts';
import { complexTypes, enumerations, type Field, namespace, type TypeName } from './wire.ts';
import { element, writeDocument, type Xml } from './xml-writer.ts';

const schemaTypes: readonly TypeName[] = ['string', 'boolean', 'int', 'short', 'dateTime'];
const valueTypes: readonly TypeName[] = ['boolean', 'int', 'short', 'dateTime'];

/**
 * The service description of the documented face (section 8 of the contract), rendered from the rows that dispatch.
 * Two port types, because generated Java and C# classes take their names from them; the SOAP 1.1 port first, because clients take
 * the first one.
 * @param address the full address of the endpoint, to which clients will send
 */
export function writeWsdl(address: string): string {
  const definitions = element(
    'wsdl:definitions',
    [
      element('wsdl:types', [schema()]),
      ...operations.flatMap(messages),
      portType('ECGridOSPortType'),
      portType('ECGridOS'),
      binding('ECGridOSSoap', 'ECGridOSPortType', 'soap'),
      binding('ECGridOSSoap12', 'ECGridOS', 'soap12'),
      service(address),
    ],
    {
      'xmlns:wsdl': 'http://schemas.xmlsoap.org/wsdl/',
      'xmlns:soap': 'http://schemas.xmlsoap.org/wsdl/soap/',
      'xmlns:soap12': 'http://schemas.xmlsoap.org/wsdl/soap12/',
      'xmlns:s': 'http://www.w3.org/2001/XMLSchema',
      'xmlns:tns': namespace,
      targetNamespace: namespace,
    },
  );
  return writeDocument(definitions);
}

function schema(): Xml {
  const types = Object.entries(complexTypes).map(([name, fields]) =>
    element('s:complexType', [element('s:sequence', fields.map(typeField))], { name }),
  );
  const simple = Object.entries(enumerations).map(([name, words]) =>
    element('s:simpleType', [restriction(words)], { name }),
  );
  const content = [...operations.flatMap(operationElements), ...types, ...simple];
  return element('s:schema', content, { elementFormDefault: 'qualified', targetNamespace: namespace });
}

function restriction(words: readonly string[]): Xml {
  const values = words.map((value) => element('s:enumeration', [], { value }));
  return element('s:restriction', values, { base: 's:string' });
}

/** Strings inside types are not nillable: that would give Java wrapped getters. */
function typeField({ name, type, optional, many }: Field): Xml {
  return element('s:element', [], {
    ...(optional === true && { minOccurs: '0' }),
    ...(many === true && { maxOccurs: 'unbounded' }),
    name,
    ...(many === true && { nillable: 'true' }),
    type: qualify(type),
  });
}

function operationElements({ name, parameters, result }: Operation): Xml[] {
  const request = parameters.map((parameter) => wrapped(parameter.name, parameter.type));
  return [complexElement(name, request), complexElement(`${name}Response`, [wrapped(`${name}Result`, result)])];
}

function complexElement(name: string, content: readonly Xml[]): Xml {
  const sequence = content.length === 0 ? [] : [element('s:sequence', content)];
  return element('s:element', [element('s:complexType', sequence)], { name });
}

/** Strings and objects in a wrapper may be absent or nil: only so do generated clients return the object itself. */
function wrapped(name: string, type: TypeName): Xml {
  if (valueTypes.includes(type)) return element('s:element', [], { name, type: qualify(type) });
  return element('s:element', [], { minOccurs: '0', name, nillable: 'true', type: qualify(type) });
}

function qualify(type: TypeName): string {
  return `${schemaTypes.includes(type) ? 's' : 'tns'}:${type}`;
}

function messages({ name }: Operation): Xml[] {
  const message = (suffix: string, part: string) =>
    element('wsdl:message', [element('wsdl:part', [], { name: 'parameters', element: `tns:${part}` })], {
      name: name + suffix,
    });
  return [message('SoapIn', name), message('SoapOut', `${name}Response`)];
}

function portType(name: string): Xml {
  const rows = operations.map((operation) =>
    element(
      'wsdl:operation',
      [
        element('wsdl:input', [], { message: `tns:${operation.name}SoapIn` }),
        element('wsdl:output', [], { message: `tns:${operation.name}SoapOut` }),
      ],
      { name: operation.name },
    ),
  );
  return element('wsdl:portType', rows, { name });
}

function binding(name: string, type: string, prefix: 'soap' | 'soap12'): Xml {
  const body = element(`${prefix}:body`, [], { use: 'literal' });
  const rows = operations.map((operation) => {
    const action = { soapAction: namespace + operation.name, style: 'document' };
    const content = [
      element(`${prefix}:operation`, [], action),
      element('wsdl:input', [body]),
      element('wsdl:output', [body]),
    ];
    return element('wsdl:operation', content, { name: operation.name });
  });
  const transport = { transport: 'http://schemas.xmlsoap.org/soap/http', style: 'document' };
  return element('wsdl:binding', [element(`${prefix}:binding`, [], transport), ...rows], { name, type: `tns:${type}` });
}

function service(location: string): Xml {
  const port = (name: string, bound: string, prefix: string) =>
    element('wsdl:port', [element(`${prefix}:address`, [], { location })], { name, binding: `tns:${bound}` });
  const ports = [port('ECGridOSPort', 'ECGridOSSoap', 'soap'), port('ECGridOSPort12', 'ECGridOSSoap12', 'soap12')];
  return element('wsdl:service', ports, { name: 'ECGridOS' });
}
