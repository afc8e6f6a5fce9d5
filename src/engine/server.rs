pub struct Core;
pub struct Server;
pub struct Socket;
