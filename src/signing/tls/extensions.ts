import { Reader, unfit } from './reader.ts';

/** What is read of the extensions of a hello. */
export interface Extensions {
  readonly types: ReadonlySet<number>;
  readonly groups?: readonly number[];
  readonly signatureSchemes?: readonly number[];
  readonly versions?: readonly number[];
}

type Side = 'client' | 'server';
type Shape = (content: Reader) => unknown;

const SUPPORTED_GROUPS = 10;
const SIGNATURE_ALGORITHMS = 13;
const SUPPORTED_VERSIONS = 43;
export const STATUS_REQUEST = 5;
export const RENEGOTIATION_INFO = 0xff01;

const empty: Shape = () => undefined;
const numbers = (content: Reader): number[] => content.numbers(2);
/** A list of entries, each as `read` reads it. */
const each =
  (least: number, read: Shape): Shape =>
  (content) => {
    const list = content.part(2, least);
    while (!list.isAtEnd) read(list);
  };
const isNone: Shape = () => unfit('an extension of TLS 1.3 stands in a ServerHello');
/** Of a first handshake: OpenVPN never renegotiates within a TLS session (RFC 5746 section 3.4). */
const firstHandshake: Shape = (content) => content.vector(1, 0, 0);
const pointFormats: Shape = (content) => {
  if (!content.vector(1, 1).includes(0)) unfit('no uncompressed points in ec_point_formats');
};

/** The server chooses one (RFC 7301 section 3.1). */
const oneProtocol: Shape = (content) => {
  const list = content.part(2, 1);
  list.vector(1, 1);
  list.end();
};

/** What stands in extensions whose content is looked at: the others may hold anything (RFC 8701). */
const SHAPES: ReadonlyMap<number, Readonly<Partial<Record<Side, Shape>>>> = new Map([
  // server_name
  [0, { client: each(1, (name) => [name.number(1), name.vector(2, 1)]), server: empty }],
  // max_fragment_length
  [1, { client: (content) => content.number(1), server: (content) => content.number(1) }],
  [STATUS_REQUEST, { client: (content) => [content.number(1), content.vector(2), content.vector(2)], server: empty }],
  [SUPPORTED_GROUPS, { client: numbers, server: numbers }],
  // ec_point_formats
  [11, { client: pointFormats, server: pointFormats }],
  [SIGNATURE_ALGORITHMS, { client: numbers }],
  // application_layer_protocol_negotiation
  [16, { client: each(1, (name) => name.vector(1, 1)), server: oneProtocol }],
  // encrypt_then_mac, extended_master_secret
  [22, { client: empty, server: empty }],
  [23, { client: empty, server: empty }],
  // session_ticket
  [35, { server: empty }],
  // pre_shared_key, supported_versions, psk_key_exchange_modes, key_share
  [41, { server: isNone }],
  [SUPPORTED_VERSIONS, { client: (content) => content.numbers(1), server: isNone }],
  [45, { client: (content) => content.vector(1, 1), server: isNone }],
  [51, { client: each(0, (share) => [share.number(2), share.vector(2, 1)]), server: isNone }],
  [RENEGOTIATION_INFO, { client: firstHandshake, server: firstHandshake }],
]);

/** Reads what is left of a hello: nothing, or its extensions. @throws Unfit */
export function readExtensions(hello: Reader, side: Side): Extensions {
  const types = new Set<number>();
  const found = new Map<number, unknown>();
  if (hello.isAtEnd) return { types };
  const list = hello.part(2);
  hello.end();
  while (!list.isAtEnd) {
    const type = list.number(2);
    const content = list.vector(2);
    if (types.has(type)) unfit(`extension ${type} stands twice in the ${side}'s hello`);
    types.add(type);
    const shape = SHAPES.get(type)?.[side];
    if (!shape) continue;
    const reader = new Reader(content, `extension ${type} of the ${side}'s hello`);
    found.set(type, shape(reader));
    reader.end();
  }
  const listOf = (type: number) => found.get(type) as readonly number[] | undefined;
  const groups = listOf(SUPPORTED_GROUPS);
  const signatureSchemes = listOf(SIGNATURE_ALGORITHMS);
  const versions = listOf(SUPPORTED_VERSIONS);
  return {
    types,
    ...(groups && { groups }),
    ...(signatureSchemes && { signatureSchemes }),
    ...(versions && { versions }),
  };
}
