-- A music store with integer keys, prices as numeric, times without a zone, and a table of pairs.

-- both
create table artist (artist_id int primary key, name varchar(120));
create table album (album_id int primary key, title varchar(160) not null, artist_id int not null references artist);
create index on album (artist_id);
create table genre (genre_id int primary key, name varchar(120));
create table media_type (media_type_id int primary key, name varchar(120));
create table track (
    track_id int primary key,
    name varchar(200) not null,
    album_id int references album,
    media_type_id int not null references media_type,
    genre_id int references genre,
    milliseconds int not null,
    bytes int,
    unit_price numeric(10, 2) not null);
create table playlist (playlist_id int primary key, name varchar(120));
create table playlist_track (
    playlist_id int not null references playlist,
    track_id int not null references track,
    primary key (playlist_id, track_id));
create table employee (
    employee_id int primary key,
    last_name varchar(20) not null,
    reports_to int references employee,
    hire_date timestamp);
create table customer (
    customer_id int primary key,
    first_name varchar(40) not null,
    email varchar(60) not null,
    support_rep_id int references employee);
create table invoice (
    invoice_id int primary key,
    customer_id int not null references customer,
    invoice_date timestamp not null,
    total numeric(10, 2) not null);
create table invoice_line (
    invoice_line_id int primary key,
    invoice_id int not null references invoice,
    track_id int not null references track,
    unit_price numeric(10, 2) not null,
    quantity int not null);

-- data
insert into artist select n, 'Artist ' || n from generate_series(1, 10) n;
insert into album select n, 'Album ' || n, 1 + n % 10 from generate_series(1, 20) n;
insert into genre values (1, 'Rock'), (2, 'Jazz'), (3, null);
insert into media_type values (1, 'File'), (2, 'Disc');
insert into track select n, 'Song ' || n || ' – ü', 1 + n % 20, 1 + n % 2, 1 + n % 3, n * 1000, n * 1024, 0.99 from generate_series(1, 60) n;
insert into playlist values (1, 'All'), (2, 'Some');
insert into playlist_track select 1, n from generate_series(1, 60) n;
insert into playlist_track select 2, n from generate_series(1, 60, 5) n;
insert into employee select n, 'Employee ' || n, nullif(n - 1, 0), timestamp '2002-08-14 09:30' from generate_series(1, 5) n;
insert into customer select n, 'Customer ' || n, n || '@example.org', 1 + n % 5 from generate_series(1, 15) n;
insert into invoice select n, 1 + n % 15, timestamp '2024-10-27 02:30' + n * interval '1 hour', n * 0.99 from generate_series(1, 20) n;
insert into invoice_line select n, 1 + n % 20, 1 + n % 60, 0.99, 1 from generate_series(1, 40) n;

-- changes
insert into artist values (11, 'New one');
begin;
insert into album values (21, 'New album', 11);
insert into track select 100 + n, 'New song ' || n, 21, 1, null, n, null, 1.29 from generate_series(1, 5) n;
insert into playlist_track select 2, 100 + n from generate_series(1, 5) n;
commit;
update track set unit_price = 1.49, name = upper(name) where genre_id = 2;
update invoice set total = (select sum(unit_price * quantity) from invoice_line l where l.invoice_id = invoice.invoice_id) where exists (select from invoice_line l where l.invoice_id = invoice.invoice_id);
update playlist_track set playlist_id = 1 where playlist_id = 2 and track_id > 100;
delete from playlist_track where track_id % 10 = 0;
delete from invoice_line where invoice_id = 3;
delete from invoice where invoice_id = 3;
-- two playlists exchange their tracks, and two lines their numbers
begin;
insert into playlist values (3, 'between');
update playlist_track set playlist_id = 3 where playlist_id = 2 and track_id not in (select track_id from playlist_track where playlist_id = 1);
update invoice_line set invoice_line_id = -1 where invoice_line_id = 1;
update invoice_line set invoice_line_id = 1 where invoice_line_id = 40;
update invoice_line set invoice_line_id = 40 where invoice_line_id = -1;
commit;
truncate playlist_track;
insert into playlist_track values (1, 1), (3, 105);
