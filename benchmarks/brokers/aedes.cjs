// An MQTT broker made of aedes: node aedes.cjs MODULES PORT OPTIONS RETAIN. What it knows dies with it.
"use strict";
const net = require("node:net");
const [modules, port, options, retain] = process.argv.slice(2);
const aedes = require(`${modules}/aedes`)(JSON.parse(options));
if (retain === "false") {
  aedes.authorizePublish = (client, packet, done) => {
    packet.retain = false;
    done(null);
  };
}
net.createServer(aedes.handle).listen(Number(port), "127.0.0.1");
