// Answers the calls of a test by one client library: a line of JSON in, a line of JSON out.
'use strict'

const readline = require('readline')

async function answerCalls(calls) {
  for await (const line of readline.createInterface({ input: process.stdin })) {
    const question = JSON.parse(line)
    let answer
    try {
      answer = { result: await calls[question.call](question.arguments) }
    } catch (error) {
      answer = { error: String(error) }
    }
    process.stdout.write(JSON.stringify(answer) + '\n')
  }
}

// Of an answer that says FAILED these libraries make no error.
function succeeded(response) {
  if (response.returncode !== 'SUCCESS') {
    throw new Error(`${response.messageKey}: ${response.message}`)
  }
  return response
}

module.exports = { answerCalls, succeeded }
