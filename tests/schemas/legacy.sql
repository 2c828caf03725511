-- Tables as old office programs leave them: no keys, names in capitals and with spaces, a unique index for a key, fixed lengths,
-- equal rows, no foreign keys.

-- both
create table "Customers" ("CustID" integer, "Cust Name" varchar(60), "Phone-No" char(12), balance double precision);
create table "Order Lines" ("OrderNo" integer, "Pos" integer, "Item Code" varchar(20), qty numeric);
create table "LOG" (stamp timestamp, message text);
create table stock (code char(8) not null, place char(3) not null, amount integer);
create unique index stock_place on stock (code, place);
create table "Select" ("from" integer primary key, "where" text, "order" text);
create table notes (n integer, words text);
create table settings (name varchar(30), value varchar(200));

-- data
insert into "Customers" select n, 'Customer ' || n, lpad(n::text, 5, '0'), n * 1.5 from generate_series(1, 20) n;
insert into "Order Lines" select 100 + n / 3, n % 3, 'IT-' || n, n from generate_series(1, 30) n;
insert into "LOG" select timestamp '2020-01-01' + n * interval '1 minute', 'started' from generate_series(1, 10) n;
insert into "LOG" values (null, null), (null, null), ('2020-01-01 00:01', 'started');
insert into stock select 'C' || n, (array['A', 'BB', 'CCC'])[1 + n % 3], n from generate_series(1, 20) n;
insert into "Select" select n, 'where ' || n, E'tab\tand\\backslash' from generate_series(1, 5) n;
insert into notes select n % 3, 'note ' || n % 4 from generate_series(1, 24) n;
insert into settings values ('theme', 'dark'), ('theme', 'dark'), ('path', 'C:\Program Files\x'), (null, '');

-- changes
insert into "Customers" values (21, 'New', null, null);
update "Customers" set balance = balance + 1, "Cust Name" = "Cust Name" || ' & Co.' where "CustID" % 4 = 0;
update "Customers" set "CustID" = 200 where "CustID" = 20;
begin;
insert into "Order Lines" values (500, 0, 'IT-1', 2), (500, 1, 'IT-1', 2), (500, 1, 'IT-1', 2);
update stock set amount = amount - 2 where code = 'C1';
insert into "LOG" values (now(), 'ordered');
commit;
delete from "Order Lines" where "OrderNo" = 102;
delete from "LOG" where stamp is null;
update notes set words = 'note 0' where words = 'note 1';
delete from notes where ctid = (select min(ctid) from notes where words = 'note 0');
update settings set value = 'light' where name = 'theme';
-- two places exchange what they hold
begin;
update stock set place = 'X' where code = 'C3';
insert into stock values ('C3', 'A', 99);
update stock set code = 'tmp' where code = 'C4';
update stock set code = 'C4' where code = 'C5';
update stock set code = 'C5' where code = 'tmp';
commit;
update "Select" set "from" = "from" + 10 where "from" > 3;
-- an office program that saves by deleting all and writing all
begin;
delete from settings;
insert into settings values ('theme', 'light'), ('theme', 'light'), ('path', 'C:\'), (null, '');
commit;
truncate "LOG";
insert into "LOG" values ('2025-01-01', 'again'), ('2025-01-01', 'again');
