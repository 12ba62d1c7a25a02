// Runs the handlers of CDK's provider framework as Lambda's Node.js runtime would: events come as lines of JSON, and
// for each, when it is done, one line goes to the descriptor that is named. Requests for port 443 go to the port that is named,
// because a stand-in for CloudFormation should not need the rights that the real port takes.
"use strict";

const fs = require("fs");
const https = require("https");
const readline = require("readline");

https.globalAgent.defaultPort = Number(process.env.CLOUDFORMATION_PORT);
const framework = require(process.env.FRAMEWORK);

readline.createInterface({ input: process.stdin }).on("line", async (line) => {
  const { id, handler, event } = JSON.parse(line);
  let outcome = { id };
  try {
    await framework[handler](event);
  } catch (error) {
    outcome = { id, error: { errorType: error.name, errorMessage: error.message, trace: String(error.stack).split("\n") } };
  }
  fs.writeSync(Number(process.env.OUTCOMES), JSON.stringify(outcome) + "\n");
});
