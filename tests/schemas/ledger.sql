-- An accounting ledger: exact amounts of every size, money, checks over several columns, entries that must balance at the end of a
-- transaction, periods, an audit that the desktop's own triggers write.

-- both
create table currency (code char(3) primary key, name text not null, digits smallint not null check (digits between 0 and 8));
create table ledger_account (
    number varchar(12) primary key,
    name text not null,
    parent varchar(12) references ledger_account,
    kind char(1) not null check (kind in ('A', 'L', 'E', 'I', 'X')),
    currency char(3) not null references currency,
    limit_amount money);
create table period (
    year smallint not null,
    month smallint not null check (month between 1 and 12),
    closed boolean not null default false,
    primary key (year, month));
create table entry (
    entry_id bigint primary key,
    year smallint not null,
    month smallint not null,
    words varchar(200) not null check (words <> ''),
    posted timestamp(0) without time zone not null,
    foreign key (year, month) references period);
create table entry_line (
    entry_id bigint not null references entry on delete cascade,
    line smallint not null,
    account varchar(12) not null references ledger_account,
    debit numeric(30, 8) not null default 0,
    credit numeric(30, 8) not null default 0,
    rate numeric,
    primary key (entry_id, line),
    check (debit >= 0 and credit >= 0 and (debit = 0 or credit = 0)));
create table rate (currency char(3) references currency, day date, value numeric not null, primary key (currency, day));
create table audit (audit_id bigserial primary key, what text not null, entry_id bigint, before jsonb, after jsonb);

-- desktop
create function keep_audit() returns trigger language plpgsql as $$
begin
    insert into audit (what, entry_id, before, after)
    values (tg_op, coalesce(new.entry_id, old.entry_id), to_jsonb(old), to_jsonb(new));
    return null;
end $$;
create trigger audited after insert or update or delete on entry for each row execute function keep_audit();
create function must_balance() returns trigger language plpgsql as $$
declare
    off numeric;
begin
    select sum(debit) - sum(credit) into off from entry_line where entry_id = coalesce(new.entry_id, old.entry_id);
    if off <> 0 then
        raise exception 'entry % is off by %', coalesce(new.entry_id, old.entry_id), off;
    end if;
    return null;
end $$;
create constraint trigger balances after insert or update or delete on entry_line
    deferrable initially deferred for each row execute function must_balance();

-- cloud
create function must_balance() returns trigger language plpgsql as $$
declare
    off numeric;
begin
    select sum(debit) - sum(credit) into off from entry_line where entry_id = coalesce(new.entry_id, old.entry_id);
    if off <> 0 then
        raise exception 'entry % is off by %', coalesce(new.entry_id, old.entry_id), off;
    end if;
    return null;
end $$;
create constraint trigger balances after insert or update or delete on entry_line
    deferrable initially deferred for each row execute function must_balance();

-- data
insert into currency values ('EUR', 'Euro', 2), ('JPY', 'Yen', 0), ('BTC', 'Bitcoin', 8);
insert into ledger_account values ('1', 'Assets', null, 'A', 'EUR', null), ('10', 'Cash', '1', 'A', 'EUR', '1234.56'), ('11', 'Wallet', '1', 'A', 'BTC', '-0.01'),
    ('2', 'Liabilities', null, 'L', 'EUR', null), ('4', 'Income', null, 'I', 'EUR', null), ('5', 'Expense', null, 'X', 'JPY', '92233720368547758.07');
insert into period select 2025, m from generate_series(1, 12) m;
insert into entry select n, 2025, 1 + n % 12, 'Entry ' || n, timestamp '2025-01-01 10:00' + n * interval '3 days' from generate_series(1, 25) n;
begin;
insert into entry_line select n, 1, '10', n * 1.01, 0, null from generate_series(1, 25) n;
insert into entry_line select n, 2, '4', 0, n * 1.01, 1.000000000000000000001 from generate_series(1, 25) n;
commit;
insert into rate select 'BTC', date '2025-01-01' + n, 99999999999999999999.123456789 + n from generate_series(1, 10) n;

-- changes
begin;
insert into entry values (100, 2025, 6, 'New', '2025-06-06 06:06:06');
insert into entry_line values (100, 1, '11', 0.00000001, 0, 'NaN'), (100, 2, '4', 0, 0.00000001, 1e-30);
commit;
begin;
update entry_line set debit = debit + 5 where entry_id = 3 and line = 1;
update entry_line set credit = credit + 5 where entry_id = 3 and line = 2;
update entry set words = 'corrected' where entry_id = 3;
commit;
update ledger_account set limit_amount = limit_amount * 2 where number = '10';
update entry_line set rate = 12345678901234567890.00 where line = 1;
-- the lines of two entries change places
begin;
update entry_line set line = line + 10 where entry_id = 4;
update entry_line set line = 13 - line where entry_id = 4;
commit;
update rate set day = day - 400 where value > 99999999999999999999.123456789 + 5;
delete from entry where entry_id in (5, 6);
insert into ledger_account values ('12', 'Sub', '10', 'A', 'JPY', null);
update ledger_account set parent = '12' where number = '11';
update period set closed = true where month < 4;
begin;
delete from entry_line where entry_id = 7;
insert into entry_line values (7, 1, '5', 7.07, 0, null), (7, 2, '10', 0, 7, null), (7, 3, '12', 0, 0.07, null);
commit;
insert into currency values ('XXX', 'none', 8);
update currency set code = 'XTS' where code = 'XXX';
truncate rate;
insert into rate values ('EUR', '2025-12-31', 1), ('EUR', 'infinity', -1);
