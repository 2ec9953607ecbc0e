-- Change what servers owe. ARGV: JSON {server id: {internal id: time of the end, or 0}}. Reply: 1.
for sid, debts in pairs(cjson.decode(ARGV[1])) do change_debts(sid, debts) end
return 1
