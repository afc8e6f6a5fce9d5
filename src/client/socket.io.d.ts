// The types of the browser client, as TypeScript sees them: those that the official client's
// documentation names, so that code typed for one is typed for the other.
//
// Not here: options that only Node.js has, and what begins with an underscore.

/** Events by name, each with the function that listens to it. */
export interface EventsMap {
  [event: string]: any;
}

/** Any event, with any arguments. */
export interface DefaultEventsMap {
  [event: string]: (...args: any[]) => void;
}

type Name<Events extends EventsMap> = keyof Events & (string | symbol);
type Params<Events extends EventsMap, Event extends keyof Events> = Parameters<Events[Event]>;

/** The listener of an event, be it one of the class's own or of the application's. */
type Listener<Own extends EventsMap, Events extends EventsMap, Event> =
  Event extends keyof Own ? Own[Event] : Event extends keyof Events ? Events[Event] : never;

type Last<Values extends any[]> = Values extends [...any[], infer Value] ? Value : any;
type AllButLast<Values extends any[]> = Values extends [...infer Others, any] ? Others : any[];

/** What an acknowledgement brings: its first value that is no error. */
type Answer<Fn> = Fn extends (...args: infer Args) => any
  ? Args extends [infer First, ...infer Others]
    ? Error extends First ? (Others extends [infer Second, ...any[]] ? Second : any) : First
    : any
  : any;

/** Events whose acknowledgements hear of an error first: what `timeout()` makes of them. */
export type DecorateAcknowledgements<Events> = {
  [Event in keyof Events]: Events[Event] extends (...args: infer Args) => infer Result
    ? (...args: WithError<Args>) => Result
    : Events[Event];
};

type WithError<Args extends any[]> = {
  [Index in keyof Args]: Args[Index] extends (...args: infer Answer) => infer Result
    ? (err: Error, ...args: Answer) => Result
    : Args[Index];
};

/** What can be listened to. */
declare class Emitter<
  Listen extends EventsMap,
  Emit extends EventsMap,
  Own extends EventsMap = {},
> {
  on<Event extends Name<Own> | Name<Listen>>(
    event: Event, listener: Listener<Own, Listen, Event>): this;
  once<Event extends Name<Own> | Name<Listen>>(
    event: Event, listener: Listener<Own, Listen, Event>): this;
  /** Removes one listener, all of an event, or all. */
  off<Event extends Name<Own> | Name<Listen>>(
    event?: Event, listener?: Listener<Own, Listen, Event>): this;
  removeListener: this["off"];
  removeAllListeners: this["off"];
  addEventListener: this["on"];
  removeEventListener: this["off"];
  emit<Event extends Name<Emit>>(event: Event, ...args: Params<Emit, Event>): this;
  listeners<Event extends Name<Own> | Name<Listen>>(
    event: Event): Listener<Own, Listen, Event>[];
  hasListeners<Event extends Name<Own> | Name<Listen>>(event: Event): boolean;
}

export type TransportName = "polling" | "websocket" | "webtransport";

/** What carries the packets of a session; its subclasses are named in `transports`. */
export declare abstract class Transport {
  readonly name: string;
  writable: boolean;
}

export declare class Fetch extends Transport {}
export declare class XHR extends Transport {}
export declare class NodeXHR extends Transport {}
export declare class WebSocket extends Transport {}
export declare class NodeWebSocket extends Transport {}
/** emio has none; the name is for imports of it. */
export declare const WebTransport: any;

type TransportClass = new (...args: any[]) => Transport;

/** Of the connection: where it goes, and how. */
export interface EngineOptions {
  /** Where to connect, if no URL says so. */
  host: string;
  hostname: string;
  port: string | number;
  secure: boolean;
  /** `/socket.io/` by default. */
  path: string;
  addTrailingSlash: boolean;
  query: { [key: string]: any };
  /** Names or classes, in the order in which they are tried: polling, then websocket. */
  transports: TransportName[] | TransportClass[] | (TransportName | TransportClass)[];
  /** Whether another transport is tried when the first cannot connect. */
  tryAllTransports: boolean;
  upgrade: boolean;
  /** Whether to begin with WebSocket where it worked the last time. */
  rememberUpgrade: boolean;
  timestampParam: string;
  timestampRequests: boolean;
  forceBase64: boolean;
  withCredentials: boolean;
  /** With HTTP long-polling only: browsers cannot send headers with a WebSocket. */
  extraHeaders: { [header: string]: string };
  /** Options of one transport by its name. */
  transportOptions: { [transport: string]: any };
  protocols: string | string[];
  closeOnBeforeunload: boolean;
  useNativeTimers: boolean;
  /** Milliseconds until a request of HTTP long-polling is given up; never by default. */
  requestTimeout: number;
}

/** Of the manager: when it connects, and again. */
export interface ManagerOptions extends EngineOptions {
  forceNew: boolean;
  multiplex: boolean;
  autoConnect: boolean;
  reconnection: boolean;
  /** Infinity by default. */
  reconnectionAttempts: number;
  /** Milliseconds before the first attempt, 1000 by default; it doubles with each. */
  reconnectionDelay: number;
  /** The most that it becomes, 5000 milliseconds by default. */
  reconnectionDelayMax: number;
  /** How far chance moves the delay, from 0 to 1; 0.5 by default. */
  randomizationFactor: number;
  /** Milliseconds until an attempt to connect is given up, 20000 by default. */
  timeout: number | false;
  /** Another pair of `Encoder` and `Decoder`. */
  parser: any;
}

/** Of the socket. */
export interface SocketOptions {
  /** What the server is told about who connects, or a function that hands it over. */
  auth: { [key: string]: any } | ((done: (data: object) => void) => void);
  /** How often an event is sent again until it is acknowledged. */
  retries: number;
  /** Milliseconds to wait for acknowledgements, if `timeout()` does not say. */
  ackTimeout: number;
}

export type DisconnectDescription = Error | { description: string; context?: unknown };

/** What a middleware refused with, in `data`. */
export interface ExtendedError extends Error {
  data?: any;
}

export interface SocketReservedEvents {
  connect: () => void;
  connect_error: (err: ExtendedError) => void;
  disconnect: (reason: Socket.DisconnectReason, description?: DisconnectDescription) => void;
}

export interface ManagerReservedEvents {
  open: () => void;
  error: (err: Error) => void;
  ping: () => void;
  packet: (packet: Packet) => void;
  close: (reason: string, description?: DisconnectDescription) => void;
  reconnect_attempt: (attempt: number) => void;
  reconnect: (attempt: number) => void;
  reconnect_error: (err: Error) => void;
  reconnect_failed: () => void;
}

/** One packet of the Socket.IO protocol. */
export interface Packet {
  type: number;
  nsp: string;
  data?: any;
  id?: number;
}

/** One session with the server, whatever carries it. */
export interface Engine extends Emitter<DefaultEventsMap, DefaultEventsMap> {
  id: string;
  readyState: "opening" | "open" | "closing" | "closed";
  transport: Transport;
  upgrading: boolean;
  writeBuffer: any[];
  readonly hostname: string;
  readonly port: string | number;
  readonly secure: boolean;
  opts: Partial<EngineOptions>;
  close(): this;
}

/** One namespace of a connection. */
export declare class Socket<
  ListenEvents extends EventsMap = DefaultEventsMap,
  EmitEvents extends EventsMap = ListenEvents,
> extends Emitter<ListenEvents, EmitEvents, SocketReservedEvents> {
  constructor(io: Manager, nsp: string, opts?: Partial<SocketOptions>);
  readonly io: Manager<ListenEvents, EmitEvents>;
  readonly nsp: string;
  /** While it is connected. */
  id: string | undefined;
  connected: boolean;
  get disconnected(): boolean;
  /** Whether it wants to be connected, and is again by itself. */
  get active(): boolean;
  /** Whether the server still knew it, and sent what it had missed. */
  recovered: boolean;
  auth: SocketOptions["auth"];
  receiveBuffer: ReadonlyArray<any>[];
  sendBuffer: Packet[];
  connect(): this;
  open(): this;
  disconnect(): this;
  close(): this;
  send(...args: any[]): this;
  /** Sends now, or once connected. A function as last argument receives the acknowledgement. */
  emit<Event extends Name<EmitEvents>>(event: Event, ...args: Params<EmitEvents, Event>): this;
  emitWithAck<Event extends Name<EmitEvents>>(
    event: Event, ...args: AllButLast<Params<EmitEvents, Event>>,
  ): Promise<Answer<Last<Params<EmitEvents, Event>>>>;
  compress(compress: boolean): this;
  /** The next event is dropped, rather than kept, if it cannot be sent at once. */
  get volatile(): this;
  /** The acknowledgement of the next event comes with an error after so many milliseconds. */
  timeout(ms: number): Socket<ListenEvents, DecorateAcknowledgements<EmitEvents>>;
  onAny(listener: (...args: any[]) => void): this;
  prependAny(listener: (...args: any[]) => void): this;
  offAny(listener?: (...args: any[]) => void): this;
  listenersAny(): ((...args: any[]) => void)[];
  onAnyOutgoing(listener: (...args: any[]) => void): this;
  prependAnyOutgoing(listener: (...args: any[]) => void): this;
  offAnyOutgoing(listener?: (...args: any[]) => void): this;
  listenersAnyOutgoing(): ((...args: any[]) => void)[];
}

export declare namespace Socket {
  type DisconnectReason =
    | "io server disconnect"
    | "io client disconnect"
    | "ping timeout"
    | "transport close"
    | "transport error"
    | "parse error";
}

/** One connection, opened again whenever it is lost, and the sockets that share it. */
export declare class Manager<
  ListenEvents extends EventsMap = DefaultEventsMap,
  EmitEvents extends EventsMap = ListenEvents,
> extends Emitter<{}, {}, ManagerReservedEvents> {
  constructor(opts: Partial<ManagerOptions>);
  constructor(uri?: string, opts?: Partial<ManagerOptions>);
  opts: Partial<ManagerOptions>;
  engine: Engine;
  open(done?: (err?: Error) => void): this;
  connect(done?: (err?: Error) => void): this;
  socket(nsp: string, opts?: Partial<SocketOptions>): Socket<ListenEvents, EmitEvents>;
  reconnection(): boolean;
  reconnection(value: boolean): this;
  reconnectionAttempts(): number;
  reconnectionAttempts(value: number): this;
  reconnectionDelay(): number;
  reconnectionDelay(value: number): this;
  reconnectionDelayMax(): number;
  reconnectionDelayMax(value: number): this;
  randomizationFactor(): number;
  randomizationFactor(value: number): this;
  timeout(): number | boolean;
  timeout(value: number | boolean): this;
}

/** The revision of the Socket.IO protocol. */
export declare const protocol: number;

/** The socket of the namespace that the URL names; without a URL, of the page's own server. */
export declare function io(opts?: Partial<ManagerOptions & SocketOptions>): Socket;
export declare function io(
  uri?: string, opts?: Partial<ManagerOptions & SocketOptions>): Socket;

export { io as connect, io as default };
