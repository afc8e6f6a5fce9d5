// What a manager opens: a session that chooses its transport.

export { UpgradingEngine as Engine } from "./upgrade.js";
